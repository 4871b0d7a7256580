"""Tests of the FHIRPath engine."""
