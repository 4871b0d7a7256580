"""Tests of the simulated payer."""
