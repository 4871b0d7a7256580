"""Integration tests of CDS Hooks."""
