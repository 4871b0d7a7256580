"""Observations and medications as the rows of a chart: the latest of each kind, with what came before counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smart_apps import clinical
from smart_apps.clinical import Resource
from smart_apps.ehr.rows import Chip, chip

PANEL = "85354-9"
BLOOD_PRESSURE = ("8480-6", "8462-4")
LOINC = "http://loinc.org"
TITLES = {"vital-signs": "Vital signs", "laboratory": "Laboratory", "": "Other observations"}
GONE = frozenset({"entered-in-error", "cancelled"})


@dataclass(frozen=True, slots=True)
class Finding:
    """The latest observation of one kind.

    Attributes:
        flag: What the laboratory said of it: H, L, A; empty for nothing.
        implausible: Kept, though it can hardly be right.
        earlier: How many older ones of this kind are among those read.
    """

    name: str
    value: str
    date: str
    flag: str
    implausible: bool
    status: Chip | None
    earlier: int = 0


def findings(observations: Iterable[Resource]) -> list[tuple[str, list[Finding]]]:
    """Group observations, newest first as given, by category; of each kind the first one is shown."""
    groups: dict[str, dict[str, list[Resource]]] = {category: {} for category in TITLES}
    for observation in observations:
        if clinical.text(observation.get("status")) in GONE:
            continue
        category = next((c for c in _categories(observation) if c in TITLES), "")
        kind = clinical.coded(observation.get("code"), LOINC) or clinical.concept(observation.get("code"))
        groups[category].setdefault(kind, []).append(observation)
    for kinds in groups.values():
        _join_pressures(kinds)
    return [(TITLES[category], [_finding(found) for found in kinds.values()]) for category, kinds in groups.items() if kinds]


def _join_pressures(kinds: dict[str, list[Resource]]) -> None:
    """Count single systolic and diastolic values that are older than a panel among what came before it."""
    order = list(kinds)
    for code in BLOOD_PRESSURE:
        if PANEL in kinds and code in kinds and order.index(PANEL) < order.index(code):
            kinds[PANEL] += kinds.pop(code)


def _categories(observation: Resource) -> list[str]:
    return [clinical.text(coding.get("code")) for entry in clinical.listed(observation.get("category")) for coding in clinical.listed(entry.get("coding"))]


def _finding(found: list[Resource]) -> Finding:
    latest = found[0]
    status = clinical.text(latest.get("status"))
    return Finding(
        name=clinical.concept(latest.get("code")) or "Unnamed",
        value=_pressure(latest) or clinical.measured(latest) or "no value",
        date=clinical.minute(clinical.when(latest)),
        flag=clinical.text(clinical.first(clinical.first(latest.get("interpretation")).get("coding")).get("code")),
        implausible=clinical.implausible(latest),
        status=None if status in ("final", "amended", "corrected") else chip(status),
        earlier=len(found) - 1,
    )


def _pressure(observation: Resource) -> str:
    """Write a blood pressure as people do, 158/92 mmHg; empty for anything else."""
    by_code = {clinical.coded(c.get("code"), LOINC): c.get("valueQuantity") for c in clinical.listed(observation.get("component"))}
    high, low = (clinical.quantity(by_code.get(code)) for code in BLOOD_PRESSURE)
    return f"{high.partition(' ')[0]}/{low}" if high and low else ""


def medication_row(resource: Resource) -> dict[str, object]:
    """Give a line of a chart's medications."""
    dosage = clinical.first(resource.get("dosageInstruction")) or clinical.first(resource.get("dosage"))
    return {
        "name": clinical.medication(resource),
        "dosage": clinical.text(dosage.get("text")),
        "since": clinical.day(clinical.when(resource)),
        "status": chip(clinical.text(resource.get("status"))),
    }
