"""One module per FHIR operation."""
