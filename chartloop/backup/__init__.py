"""Backups: made while the server serves, verified where they lie, restored into an empty place."""
