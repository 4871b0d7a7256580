"""Properties of the risk models."""
