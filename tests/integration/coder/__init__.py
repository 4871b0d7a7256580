"""The coding workflow on a real store, on both databases."""
