"""The demo EHR: the pages from which people launch apps."""
