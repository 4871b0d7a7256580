"""FHIR R4 resources to rows of OMOP CDM 5.4: pure, one module for each kind of resource or table."""
