"""FHIR's XML form: resources from JSON to XML and back, along the definitions."""
