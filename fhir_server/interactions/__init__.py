"""One module per FHIR RESTful interaction."""
