"""Unit tests of the coder model and of the coding workflow."""
