"""AllergyIntolerance to observation, or to the table that its concept's domain names.

Spec: https://build.fhir.org/ig/HL7/fhir-omop-ig/StructureMap-AllergyMap.html
"""

from __future__ import annotations

from omop_bridge.concepts import TYPE_EHR, TYPE_PATIENT_REPORT
from omop_bridge.mapping.happening import Happening
from omop_bridge.mapping.moments import element, to_moment, why_not
from omop_bridge.mapping.references import reported_by_patient
from omop_bridge.mapping.route_by_domain import happening_to_rows
from omop_bridge.mapping.rows import Context, Element, Mapped, excluded
from omop_bridge.mapping.screening import NO_CODE, doubted

_DOUBTED = ("entered-in-error", "refuted", "unconfirmed", "presumed")


def allergy_to_rows(allergy: Element, context: Context) -> Mapped:
    """Write an allergy that is confirmed, or not said to be otherwise: on the day it was recorded, else of its onset."""
    if reason := doubted(allergy, _DOUBTED):
        return excluded(reason)
    coded = context.coder.coded(allergy.get("code"))
    if coded is None:
        return excluded(NO_CODE)
    onset, _ = element(allergy, "onset")
    start = to_moment(allergy.get("recordedDate")) or to_moment(onset)
    if start is None:
        return excluded(why_not(allergy.get("recordedDate") or onset))
    source = TYPE_PATIENT_REPORT if reported_by_patient([allergy.get("asserter")]) else TYPE_EHR
    return Mapped(tuple(happening_to_rows(Happening("code", coded, start, source, "observation", visit=context.visit))))
