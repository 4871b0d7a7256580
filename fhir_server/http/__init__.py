"""Requests read and answers written; the routes are in api.py."""
