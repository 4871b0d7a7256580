"""Who may see what: Cedar policies decided in memory for one row and compiled to SQL for many."""
