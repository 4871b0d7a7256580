"""Unit tests of CDS Hooks."""
