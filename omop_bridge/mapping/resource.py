"""One resource to its rows: which types are followed, and who maps each.

Not followed: DiagnosticReport (its results are Observations), RiskAssessment (a model's prediction is not something that was observed;
it stays in the chart with its Provenance), requests other than for medicines, plans, money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from omop_bridge.mapping.allergy import allergy_to_rows
from omop_bridge.mapping.condition import condition_to_rows
from omop_bridge.mapping.drug import administration_to_rows, dispense_to_rows, immunization_to_rows, request_to_rows, statement_to_rows
from omop_bridge.mapping.note import document_to_rows
from omop_bridge.mapping.observation import observation_to_rows
from omop_bridge.mapping.person import patient_to_rows
from omop_bridge.mapping.procedure import procedure_to_rows
from omop_bridge.mapping.rows import Context, Element, Mapped, excluded
from omop_bridge.mapping.screening import modified
from omop_bridge.mapping.visit import encounter_to_rows, organization_to_rows


def _nothing(_resource: Element, _context: Context) -> Mapped:
    return Mapped()


_MAPPINGS: Mapping[str, Callable[[Element, Context], Mapped]] = {
    "Organization": organization_to_rows,
    "Medication": _nothing,
    "Patient": patient_to_rows,
    "Encounter": encounter_to_rows,
    "AllergyIntolerance": allergy_to_rows,
    "Condition": condition_to_rows,
    "DocumentReference": document_to_rows,
    "Immunization": immunization_to_rows,
    "MedicationAdministration": administration_to_rows,
    "MedicationDispense": dispense_to_rows,
    "MedicationRequest": request_to_rows,
    "MedicationStatement": statement_to_rows,
    "Observation": observation_to_rows,
    "Procedure": procedure_to_rows,
}

FOLLOWED: tuple[str, ...] = tuple(_MAPPINGS)
"""The types that are followed, each after those that its rows depend on."""

WITHOUT_PERSON = frozenset({"Organization", "Medication", "Patient"})


def resource_to_rows(resource: Element, context: Context) -> Mapped:
    """Map one resource; a modifier that is not understood stops it."""
    if reason := modified(resource):
        return excluded(reason)
    return _MAPPINGS[resource["resourceType"]](resource, context)
