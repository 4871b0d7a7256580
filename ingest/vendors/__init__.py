"""Payloads of device vendors become canonical readings: pure, one module per vendor."""
