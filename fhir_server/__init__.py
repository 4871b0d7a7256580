"""FHIR R4 RESTful server."""
