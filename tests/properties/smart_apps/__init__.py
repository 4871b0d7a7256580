"""Tests of the SMART side."""
