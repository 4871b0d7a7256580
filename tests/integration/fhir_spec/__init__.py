"""Tests of the R4 definitions, validation, indexing and references."""
