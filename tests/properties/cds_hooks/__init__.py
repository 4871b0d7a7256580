"""Property tests of CDS Hooks."""
