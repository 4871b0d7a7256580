"""Property tests of the claims engine."""
