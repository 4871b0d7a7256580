"""What every part stands on: configuration, database, events, audit, access. It knows no FHIR."""
