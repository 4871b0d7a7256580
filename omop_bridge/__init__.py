"""FHIR to OMOP CDM 5.4."""
