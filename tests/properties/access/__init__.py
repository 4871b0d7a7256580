"""Access, for any subject and any row."""
