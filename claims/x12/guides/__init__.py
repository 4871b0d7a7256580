"""Facts of the implementation guides that the engine reads and writes: ids, usage, repeats, qualifiers."""
