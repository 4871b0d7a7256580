"""DG1 to Condition.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-dg1-to-condition.html
"""

from __future__ import annotations

from typing import Any

from ingest.hl7v2.message import Segment
from ingest.mapping.change import Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, cwe_to_codeable_concept
from ingest.mapping.systems import BASE, ICD_10_CM, THO

_VERIFICATION = {"A": "provisional", "W": "provisional"}


def dg1_to_condition(context: MappingContext, patient: Key, encounter: Key | None, segment: Segment) -> None:
    """Add the diagnosis of one DG1, unless it says nothing."""
    code = diagnosis_code(segment)
    if not code:
        return
    first: dict[str, Any] = next(iter(code.get("coding", [])), {})
    subject = encounter.value if encounter else f"patient-{patient.value}"
    value = clean(segment.value(20)) or f"{subject}-{first.get('code') or code.get('text', '')}"
    key = Key("Condition", f"{BASE}/diagnosis/{context.facility_name}", value)
    retracted = segment.value(21) == "D"
    resource = {
        "resourceType": "Condition",
        "identifier": [key.identifier],
        "clinicalStatus": {} if retracted else _concept("condition-clinical", "active"),
        "verificationStatus": _concept("condition-ver-status", "entered-in-error" if retracted else _VERIFICATION.get(segment.value(6), "confirmed")),
        "category": [_concept("condition-category", "encounter-diagnosis")],
        "code": code,
        "subject": reference(patient),
        "encounter": reference(encounter) if encounter else {},
        "onsetDateTime": context.datetime(segment, 5),
    }
    context.add(Change(key, compact(resource), clears=("clinicalStatus",) if retracted else ()))


def diagnosis_code(segment: Segment) -> dict[str, Any]:
    """DG1-3 with the description of DG1-4; the coding method of DG1-2 names the system where DG1-3 does not."""
    method = clean(segment.value(2)).upper()
    system = ICD_10_CM if method.startswith(("I10", "ICD10", "ICD-10")) else ""
    code = cwe_to_codeable_concept(segment.first(3), system)
    description = clean(segment.value(4))
    return {**code, "text": description} if description else code


def _concept(name: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{THO}/{name}", "code": code}]}
