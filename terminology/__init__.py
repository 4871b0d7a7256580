"""Code systems, value sets, concept maps and units."""
