"""The search values of a resource, and the rows that they become."""
