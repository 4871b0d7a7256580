"""The resources that a resource's rows depend on.

Spec: https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from omop_bridge.mapping.person import replaced_by

_ENCOUNTER: Mapping[str, tuple[str, ...]] = {
    "MedicationAdministration": ("context",),
    "MedicationDispense": ("context",),
    "MedicationStatement": ("context",),
    "DocumentReference": ("context", "encounter"),
}
_PATIENT = frozenset({"AllergyIntolerance", "Immunization"})


class Links(NamedTuple):
    """References as `Type/id`; empty where there is none. The person of a Patient is the one it was merged into."""

    person: str = ""
    encounter: str = ""
    care_site: str = ""
    medication: str = ""


def links(resource: Mapping[str, Any]) -> Links:
    """Find them."""
    type_ = resource["resourceType"]
    if type_ in ("Organization", "Medication"):
        return Links()
    if type_ == "Patient":
        return Links(person=local(replaced_by(resource), "Patient"))
    person = local(_reference(resource.get("patient" if type_ in _PATIENT else "subject")), "Patient")
    if type_ == "Encounter":
        return Links(person, care_site=local(_reference(resource.get("serviceProvider")), "Organization"))
    encounter: Any = resource
    for name in _ENCOUNTER.get(type_, ("encounter",)):
        encounter = encounter.get(name) or {}
    if isinstance(encounter, list):
        encounter = encounter[0] if encounter else {}
    medication = local(_reference(resource.get("medicationReference")), "Medication")
    return Links(person, local(_reference(encounter), "Encounter"), medication=medication)


def local(reference: str, type_: str) -> str:
    """`Type/id` of a literal reference to this type, relative or absolute, of any version; empty for everything else."""
    parts = reference.partition("/_history/")[0].rsplit("/", 2)
    return "/".join(parts[-2:]) if len(parts) >= 2 and parts[-2] == type_ and parts[-1] else ""


def reported_by_patient(references: Iterable[Mapping[str, Any] | None]) -> bool:
    """Whether the patient, or somebody of the family, said so."""
    return any(_reference(each).rsplit("/", 2)[-2:-1] in (["Patient"], ["RelatedPerson"]) for each in references)


def _reference(element: Any) -> str:
    return str(element.get("reference", "")) if isinstance(element, Mapping) else ""
