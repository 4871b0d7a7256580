"""Unit tests of the risk models."""
