"""What keeps a resource out before it is looked at: modifiers that nobody here understands, and statuses.

Spec: https://build.fhir.org/ig/HL7/fhir-omop-ig/F2OGeneralIssues.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

MODIFIER = "modifier-extension"
NO_CODE = "no-code"


def modified(element: Mapping[str, Any]) -> str | None:
    """The reason when an element says that its meaning is changed in a way that is not known here (f2o-063)."""
    if element.get("modifierExtension"):
        return MODIFIER
    return "implicit-rules" if element.get("implicitRules") else None


def unrealised(resource: Mapping[str, Any], realised: Collection[str], name: str = "status") -> str | None:
    """The reason when the status (or intent) does not say that something happened (f2o-060)."""
    value = resource.get(name)
    if value in realised:
        return None
    return f"{name}-{value}" if value else f"no-{name}"


def doubted(resource: Mapping[str, Any], doubts: Iterable[str]) -> str | None:
    """The reason when the verification status names one of these doubts; the first that it names."""
    verification = codes(resource.get("verificationStatus"))
    return next((f"verification-{doubt}" for doubt in doubts if doubt in verification), None)


def codes(concept: Mapping[str, Any] | None) -> set[str]:
    """The codes of a CodeableConcept whose code system FHIR prescribes."""
    return {str(coding.get("code", "")) for coding in (concept or {}).get("coding", ())}


def any_codes(concepts: Collection[Mapping[str, Any]] | None) -> set[str]:
    """The codes of several."""
    return set().union(*(codes(concept) for concept in concepts or ()))
