"""Integration tests of the claims engine."""
