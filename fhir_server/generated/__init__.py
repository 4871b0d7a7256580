"""Descriptions of this API that are generated from the tables that route it."""
