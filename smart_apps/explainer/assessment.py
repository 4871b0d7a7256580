"""A stored RiskAssessment, read: risk, baseline, contributions, what is missing. Pure, and total over what a server may send.

Spec: https://hl7.org/fhir/R4/riskassessment.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from smart_apps.clinical import Resource, coded, concept, finite, first, listed, mapping, quantity, target, text
from smart_apps.systems import BASE

MODELS = f"{BASE}/CodeSystem/risk-model"
_DEFINITION = f"{BASE}/StructureDefinition/risk-"
MAX_CONTRIBUTIONS = 100
MAX_LOG_ODDS = 50.0
LOCAL = re.compile(r"[A-Z][A-Za-z]{1,40}/[A-Za-z0-9.-]{1,64}")
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Contribution:
    """How far one factor moves the estimate away from the baseline.

    Attributes:
        label: The factor, for people.
        value: What it is for this patient, with its unit.
        date: When that was so; empty when unknown.
        log_odds: Above zero it raises the estimate, below it lowers it; at most ±50.
        basis: References to what it was read from.
    """

    label: str
    value: str
    date: str
    log_odds: float
    basis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """One version of a stored estimate.

    Attributes:
        patient: Reference to whom it is about.
        model: Id of the model, safe in a URL; empty when there is none.
        occurred: When it was made, as it was written.
        probability: 0 to 1; None when no estimate could be made.
        baseline: 0 to 1; None when none is stored.
        basis: References to everything it was made from.
        missing: What is not recorded.
        labels_source: For a learned model, where the outcomes that it learned from came from.
    """

    id: str
    version: str
    status: str
    patient: str
    title: str
    model: str
    model_version: str
    model_name: str
    occurred: str
    probability: float | None
    baseline: float | None
    baseline_text: str
    contributions: tuple[Contribution, ...]
    basis: tuple[str, ...]
    missing: tuple[str, ...]
    labels_source: str


def resource_to_assessment(resource: Resource) -> Assessment:
    """Read a RiskAssessment; what cannot be read is left out."""
    coding = next((c for c in listed(mapping(resource.get("method")).get("coding")) if c.get("system") == MODELS), {})
    model = coded(resource.get("method"), MODELS)
    prediction = first(resource.get("prediction"))
    extensions = listed(resource.get("extension"))
    baseline = _members(first([e for e in extensions if e.get("url") == f"{_DEFINITION}baseline"]))
    facts = [e for e in extensions if e.get("url") == f"{_DEFINITION}contribution"][:MAX_CONTRIBUTIONS]
    return Assessment(
        id=text(resource.get("id")),
        version=text(mapping(resource.get("meta")).get("versionId")),
        status=text(resource.get("status")),
        patient=target(resource.get("subject")),
        title=concept(resource.get("code")) or concept(prediction.get("outcome")) or "Estimated risk",
        model=model if MODEL_ID.fullmatch(model) else "",
        model_version=text(coding.get("version")),
        model_name=text(coding.get("display")) or concept(resource.get("method")),
        occurred=text(resource.get("occurrenceDateTime")) or text(mapping(resource.get("meta")).get("lastUpdated")),
        probability=_probability(prediction.get("probabilityDecimal")),
        baseline=_probability(baseline.get("probability", {}).get("valueDecimal")),
        baseline_text=text(baseline.get("text", {}).get("valueString")),
        contributions=tuple(found for found in map(_contribution, facts) if found is not None),
        basis=tuple(dict.fromkeys(filter(LOCAL.fullmatch, (target(r) for r in listed(resource.get("basis")))))),
        missing=tuple(text(e.get("valueString")) for e in extensions if e.get("url") == f"{_DEFINITION}missing" and text(e.get("valueString"))),
        labels_source=next((text(e.get("valueString")) for e in extensions if e.get("url") == f"{_DEFINITION}labels-source"), ""),
    )


def _members(extension: Resource) -> dict[str, Resource]:
    """Give the members of a complex extension by name; of several with one name the first."""
    found: dict[str, Resource] = {}
    for member in listed(extension.get("extension")):
        found.setdefault(text(member.get("url")), member)
    return found


def _contribution(extension: Resource) -> Contribution | None:
    members = _members(extension)
    log_odds = finite(members.get("contribution", {}).get("valueDecimal"))
    if log_odds is None:
        return None
    value = _said(members)
    basis = (target(m.get("valueReference")) for m in listed(extension.get("extension")) if m.get("url") == "basis")
    return Contribution(
        label=text(members.get("label", {}).get("valueString")) or text(members.get("feature", {}).get("valueCode")) or "Unnamed factor",
        value=value,
        date=text(members.get("date", {}).get("valueDateTime")),
        log_odds=max(-MAX_LOG_ODDS, min(MAX_LOG_ODDS, log_odds)),
        basis=tuple(dict.fromkeys(filter(LOCAL.fullmatch, basis))),
    )


def _said(members: dict[str, Resource]) -> str:
    for name in ("valueQuantity", "valueString", "valueInteger", "valueDecimal", "valueBoolean"):
        member = members.get(name, {})
        if isinstance(member.get("valueBoolean"), bool):
            return "yes" if member["valueBoolean"] else "no"
        said = quantity(member.get("valueQuantity")) or next((text(member[key]) for key in ("valueString", "valueInteger", "valueDecimal") if key in member), "")
        if said:
            return said
    return ""


def _probability(value: Any) -> float | None:
    found = finite(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None
