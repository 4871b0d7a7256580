"""A simulated payer: a process of its own that reads X12 with eyes of its own."""
