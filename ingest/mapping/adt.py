"""ADT A01, A03, A04, A08: patient, visit, diagnoses, insurance.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-message-adt-a01-to-bundle.html
"""

from __future__ import annotations

from ingest.mapping.condition import dg1_to_condition
from ingest.mapping.context import MappingContext
from ingest.mapping.coverage import in1_to_coverage
from ingest.mapping.encounter import pv1_to_encounter
from ingest.mapping.patient import pid_to_patient


def map_adt(context: MappingContext) -> None:
    """Add every change of an ADT message."""
    patient = pid_to_patient(context)
    if patient is None:
        return
    encounter = pv1_to_encounter(context, patient)
    for segment in context.message.all("DG1"):
        dg1_to_condition(context, patient, encounter, segment)
    for segment in context.message.all("IN1"):
        in1_to_coverage(context, patient, segment)
