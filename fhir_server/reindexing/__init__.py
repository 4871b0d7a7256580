"""Bring index rows up to what bodies and search parameters say, in the background."""
