"""People: who may log in, how they prove it, and the pages where they do."""
