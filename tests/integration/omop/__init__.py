"""The OMOP bridge with real databases."""
