"""Risk predictions on a real store, on both databases."""
