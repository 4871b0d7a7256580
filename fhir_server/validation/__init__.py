"""What a resource must be before it is stored."""
