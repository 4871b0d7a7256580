"""Unit tests of the OMOP bridge."""
