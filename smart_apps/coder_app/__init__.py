"""The coder's review app: a SMART app like anybody's."""
