"""Unit tests of the terminology package."""
