"""Access on real databases."""
