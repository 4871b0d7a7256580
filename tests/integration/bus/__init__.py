"""Tests of the bus over brokers."""
