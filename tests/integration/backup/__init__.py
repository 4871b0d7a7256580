"""Backups, copies to another database, and schemas that are older or newer than the code."""
