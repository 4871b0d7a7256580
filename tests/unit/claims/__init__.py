"""Unit tests of the claims engine."""
