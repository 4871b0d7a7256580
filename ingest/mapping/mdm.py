"""MDM T02 and its kin: a document and its text.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-message-mdm-t02-to-bundle.html
"""

from __future__ import annotations

from ingest.hl7v2.problem import REQUIRED_FIELD
from ingest.mapping.context import MappingContext
from ingest.mapping.document import txa_to_document_reference
from ingest.mapping.encounter import pv1_to_encounter
from ingest.mapping.patient import pid_to_patient


def map_mdm(context: MappingContext) -> None:
    """Add every change of an MDM message; the visit and the patient are made if they are not known yet."""
    patient = pid_to_patient(context, ensure=True)
    if patient is None:
        return
    encounter = pv1_to_encounter(context, patient, ensure=True)
    documents = context.message.all("TXA")
    if not documents:
        context.error("segment TXA is missing", "TXA", 1, 0, REQUIRED_FIELD)
    for segment in documents:
        txa_to_document_reference(context, patient, encounter, segment)
