"""From charges and codes to a paid claim."""
