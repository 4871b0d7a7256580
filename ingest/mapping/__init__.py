"""HL7 v2 messages to FHIR changes: one module per resource and per message family; pure.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/
"""
