"""Chartloop: from chart to claim, around one FHIR R4 store."""
