"""FHIR to X12 and back: pure functions over plain resources."""
