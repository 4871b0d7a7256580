"""Encryption of what is stored: one master key outside the database, data keys wrapped with it inside."""
