"""FHIRPath: expressions over resources, read once and run over plain JSON within a budget."""
