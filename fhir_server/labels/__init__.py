"""Security labelling: which sensitivity codes a resource carries, by its codes, its kind and what it refers to."""
