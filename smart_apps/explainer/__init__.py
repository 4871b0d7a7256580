"""The explanation page: what a stored risk estimate is made of, launched from a CDS card."""
