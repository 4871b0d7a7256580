"""What the policies see of a resource besides its labels: whose chart it is in, who owns it, which insurer it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chartloop.kernel.access.rows import RowAttributes
from fhir_server.indexing.values import split_reference

_OWNER: Final[Mapping[str, str]] = {
    "Task": "owner",
    "DocumentReference": "author",
    "Composition": "author",
    "Communication": "sender",
    "QuestionnaireResponse": "author",
    "Provenance": "agent.who",
}
_INSURER: Final[Mapping[str, str]] = {
    "Claim": "insurer",
    "ClaimResponse": "insurer",
    "CoverageEligibilityRequest": "insurer",
    "CoverageEligibilityResponse": "insurer",
    "ExplanationOfBenefit": "insurer",
    "Coverage": "payor",
    "PaymentReconciliation": "paymentIssuer",
}


def row_attributes(type_: str, resource: Mapping[str, Any], labels: frozenset[str], patient: str, base: str = "") -> RowAttributes:
    """Collect the attributes of one resource, in a patient's chart or in none ("")."""
    return RowAttributes(
        type_,
        labels,
        patient,
        _first(resource, _OWNER.get(type_, ""), base),
        _first(resource, _INSURER.get(type_, ""), base),
        str(resource.get("id", "")),
    )


def _first(resource: object, path: str, base: str) -> str:
    """Return the first reference at a path as "Type/id"; "" without one, or if it points to another server."""
    if not path:
        return ""
    for step in path.split("."):
        resource = resource.get(step) if isinstance(resource, Mapping) else None
        resource = resource[0] if isinstance(resource, list) and resource else resource
    text = resource.get("reference", "") if isinstance(resource, Mapping) else ""
    foreign, type_, id_ = split_reference(text)
    return f"{type_}/{id_}" if id_ and foreign in ("", base) else ""
