"""Pure X12: reading, writing and checking interchanges. Standard library only."""
