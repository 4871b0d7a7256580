"""What an explanation is made from, read over the EHR's FHIR API: the estimate, its versions, the record behind each factor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from smart_apps.client.fhir import NotAllowedError
from smart_apps.clinical import Resource, target
from smart_apps.explainer.assessment import LOCAL, Assessment, resource_to_assessment

MAX_VERSIONS = 50
MAX_RECORDS = 60
MAX_ESTIMATES = 10
RECORDS = ("Observation", "Condition", "MedicationRequest", "MedicationStatement")
OF_PATIENT = ("subject", "patient")


class Fhir(Protocol):
    """What is needed of a FHIR client."""

    def read(self, reference: str) -> Resource | None: ...

    def search(self, resource_type: str, **params: str) -> list[Resource]: ...

    def history(self, reference: str, count: int) -> list[Resource]: ...


class NothingToExplainError(Exception):
    """There is no such estimate for you. It may have been deleted, or you may not see it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One estimate with everything around it.

    Attributes:
        patient: Whose it is; None when this person may not see them.
        versions: Stored versions, newest first, the estimate itself among them.
        records: What it was made from, by reference; None for what is deleted or not visible.
        others: Further estimates of the same patient.
    """

    patient: Resource | None
    assessment: Assessment
    versions: tuple[Assessment, ...]
    records: Mapping[str, Resource | None]
    others: tuple[Assessment, ...]


def wanted(app_context: str) -> str:
    """Give the id that a card's link asks for; empty when the app was launched without one.

    Raises:
        NothingToExplainError: The link says something, and not which estimate.
    """
    if not app_context:
        return ""
    try:
        said = json.loads(app_context)
    except (ValueError, RecursionError):
        said = None
    id_ = said.get("riskAssessment") if isinstance(said, dict) else None
    if not isinstance(id_, str) or not LOCAL.fullmatch(f"RiskAssessment/{id_}"):
        message = "The link that opened this page does not say which estimate it is about."
        raise NothingToExplainError(message)
    return id_


def read_explanation(fhir: Fhir, patient: str, id_: str) -> Explanation:
    """Read an estimate of the open patient; without an id the newest.

    Args:
        fhir: The EHR, as this person may see it.
        patient: Id of the patient in the launch context.
        id_: Id of the RiskAssessment, or empty.

    Raises:
        NothingToExplainError: There is none for this person, or it is about somebody else.
    """
    if not LOCAL.fullmatch(f"Patient/{patient}"):
        message = "No patient is open in the EHR."
        raise NothingToExplainError(message)
    estimates = [resource_to_assessment(r) for r in _allowed_search(fhir, patient) if _is_of(r, patient)]
    chosen = f"RiskAssessment/{id_ or next((estimate.id for estimate in estimates), '')}"
    resource = _allowed_read(fhir, chosen) if LOCAL.fullmatch(chosen) and ".." not in chosen else None
    if resource is None:
        raise NothingToExplainError(NothingToExplainError.__doc__)
    if not _is_of(resource, patient):
        message = "This estimate is not about the patient who is open in the EHR."
        raise NothingToExplainError(message)
    assessment = resource_to_assessment(resource)
    return Explanation(
        patient=_allowed_read(fhir, f"Patient/{patient}"),
        assessment=assessment,
        versions=_versions(fhir, assessment, patient),
        records=_records(fhir, assessment, patient),
        others=tuple(other for other in estimates if other.id != assessment.id),
    )


def _is_of(resource: Resource, patient: str) -> bool:
    if resource.get("resourceType") == "Patient":
        return resource.get("id") == patient
    return any(target(resource.get(name)).endswith(f"Patient/{patient}") for name in OF_PATIENT)


def _allowed_read(fhir: Fhir, reference: str) -> Resource | None:
    try:
        return fhir.read(reference)
    except NotAllowedError:
        return None


def _allowed_search(fhir: Fhir, patient: str) -> list[Resource]:
    try:
        return fhir.search("RiskAssessment", patient=f"Patient/{patient}", _sort="-date", _count=str(MAX_ESTIMATES))
    except NotAllowedError:
        return []


def _versions(fhir: Fhir, newest: Assessment, patient: str) -> tuple[Assessment, ...]:
    try:
        stored = fhir.history(f"RiskAssessment/{newest.id}", MAX_VERSIONS)
    except NotAllowedError:
        stored = []
    return tuple(resource_to_assessment(r) for r in stored if _is_of(r, patient)) or (newest,)


def _records(fhir: Fhir, assessment: Assessment, patient: str) -> dict[str, Resource | None]:
    """Read what the estimate names, one search per type; what does not come back stays None."""
    named = dict.fromkeys(reference for c in assessment.contributions for reference in c.basis) | dict.fromkeys(assessment.basis)
    records: dict[str, Resource | None] = dict.fromkeys(list(named)[:MAX_RECORDS])
    for type_ in RECORDS:
        ids = [reference.removeprefix(f"{type_}/") for reference in records if reference.startswith(f"{type_}/")]
        records.update({f"{type_}/{r['id']}": r for r in _by_id(fhir, type_, ids) if f"{type_}/{r.get('id')}" in records and _is_of(r, patient)})
    if f"Patient/{patient}" in records:
        records[f"Patient/{patient}"] = _allowed_read(fhir, f"Patient/{patient}")
    return records


def _by_id(fhir: Fhir, type_: str, ids: Iterable[str]) -> list[Resource]:
    listed = ",".join(ids)
    if not listed:
        return []
    try:
        return fhir.search(type_, _id=listed, _count=str(MAX_RECORDS))
    except NotAllowedError:
        return []
