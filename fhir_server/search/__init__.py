"""Search: parameters to criteria to SQL."""
