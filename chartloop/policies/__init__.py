"""Who may see what, as data: Cedar text by theme, its schema, groups of types, allow-lists of elements, engines."""
