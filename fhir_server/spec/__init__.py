"""Facts of FHIR R4, generated from the published definitions."""
