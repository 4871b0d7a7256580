"""Jobs: what is done on a schedule by one process at a time, and is remembered in the store."""
