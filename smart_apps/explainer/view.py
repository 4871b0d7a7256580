"""An explanation as the facts of a page: every number in words, every factor with the record behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chartloop.kernel import clock
from chartloop.kernel.errors import Invalid
from smart_apps import clinical
from smart_apps.clinical import Resource
from smart_apps.explainer.assessment import Assessment, Contribution
from smart_apps.explainer.drawing import logit, percent, probability_of
from smart_apps.explainer.reading import Explanation
from smart_apps.explainer.trend import Point, trend
from smart_apps.explainer.waterfall import Step, bars, direction, size, waterfall
from smart_apps.systems import BASE

PEOPLE = 1000
MRN = f"{BASE}/mrn"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of what stands behind a factor; `found` is False for what is deleted or not visible."""

    found: bool
    reference: str
    what: str = ""
    value: str = ""
    date: str = ""
    status: str = ""
    implausible: bool = False


@dataclass(frozen=True, slots=True)
class Factor:
    """One line of the table of factors."""

    number: int
    label: str
    value: str
    date: str
    direction: str
    size: str
    records: tuple[Record, ...]


def facts(explanation: Explanation, *, banner: bool, labels: str) -> dict[str, Any]:
    """Give what the page shows.

    Args:
        explanation: What was read.
        banner: Whether the page has to say whose chart this is.
        labels: URL under which the labels of models stand, without the model's id.
    """
    assessment = explanation.assessment
    factors = sorted(assessment.contributions, key=lambda c: -abs(c.log_odds))
    return {
        "estimate": assessment,
        "banner": _banner(explanation.patient) if banner else None,
        "risk": None if assessment.probability is None else percent(assessment.probability),
        "baseline": None if assessment.baseline is None else percent(assessment.baseline),
        "of_people": _of_people(assessment.probability),
        "ratio": _ratio(assessment),
        "made": clinical.minute(assessment.occurred),
        "waterfall": _waterfall(assessment),
        "way": _way(assessment),
        "factors": [_factor(n, c, explanation) for n, c in enumerate(factors, start=1)],
        "unattached": _unattached(explanation),
        "trend": trend(_points(explanation.versions), f"{assessment.title} over time"),
        "legend": _legend(explanation.versions),
        "versions": [_version(version) for version in explanation.versions],
        "label_url": f"{labels}{assessment.model}" if assessment.model else "",
        "others": explanation.others,
    }


def _banner(patient: Resource | None) -> dict[str, str]:
    known = patient or {}
    mrn = next((clinical.text(i.get("value")) for i in clinical.listed(known.get("identifier")) if clinical.text(i.get("system")).startswith(MRN)), "")
    return {
        "name": clinical.person(patient) if patient else "Patient not visible to you",
        "born": clinical.text(known.get("birthDate")),
        "gender": clinical.text(known.get("gender")),
        "mrn": mrn or clinical.text(clinical.first(known.get("identifier")).get("value")),
    }


def _of_people(probability: float | None) -> str:
    if probability is None:
        return ""
    count = round(probability * PEOPLE)
    return f"about {count:,} of {PEOPLE:,} people" if count else f"fewer than 1 of {PEOPLE:,} people"


def _ratio(assessment: Assessment) -> str:
    if not assessment.probability or not assessment.baseline:
        return ""
    ratio = assessment.probability / assessment.baseline
    return f"{ratio:.1f} times the baseline" if 0.05 <= ratio < PEOPLE else ""


def _steps(assessment: Assessment) -> list[Step]:
    return [Step(c.label, c.value, c.log_odds) for c in assessment.contributions]


def _waterfall(assessment: Assessment) -> str:
    if assessment.probability is None or assessment.baseline is None:
        return ""
    title = f"From the baseline to this patient: {assessment.title}"
    return waterfall(assessment.baseline, _steps(assessment), assessment.probability, title)


def _way(assessment: Assessment) -> list[dict[str, str]]:
    """The waterfall as a table: each bar and where it leads."""
    if assessment.probability is None or assessment.baseline is None:
        return []
    made = bars(assessment.baseline, _steps(assessment), assessment.probability)
    return [
        {"label": bar.step.label, "direction": bar.direction, "size": size(bar.step.log_odds), "before": percent(probability_of(bar.start)), "after": percent(probability_of(bar.end))}
        for bar in made
    ]


def _factor(number: int, contribution: Contribution, explanation: Explanation) -> Factor:
    return Factor(
        number=number,
        label=contribution.label,
        value=contribution.value,
        date=clinical.day(contribution.date),
        direction=direction(contribution.log_odds),
        size=size(contribution.log_odds),
        records=tuple(_record(reference, explanation.records.get(reference)) for reference in contribution.basis),
    )


def _unattached(explanation: Explanation) -> list[Record]:
    """Records of the estimate that no factor names."""
    named = {reference for c in explanation.assessment.contributions for reference in c.basis}
    return [_record(reference, explanation.records.get(reference)) for reference in explanation.assessment.basis if reference not in named]


def _record(reference: str, resource: Resource | None) -> Record:
    if resource is None:
        return Record(found=False, reference=reference)
    kind = resource.get("resourceType")
    what, value = clinical.concept(resource.get("code")), ""
    if kind == "Patient":
        born = clinical.text(resource.get("birthDate"))
        return Record(found=True, reference=reference, what="Patient", value=clinical.text(resource.get("gender")), date=born and f"born {born}", status="")
    if kind == "Observation":
        value = clinical.measured(resource)
    elif kind in ("MedicationRequest", "MedicationStatement"):
        what = clinical.medication(resource)
    return Record(
        found=True,
        reference=reference,
        what=what or str(kind),
        value=value,
        date=clinical.minute(clinical.when(resource)),
        status=clinical.status(resource),
        implausible=clinical.implausible(resource),
    )


def _points(versions: Sequence[Assessment]) -> list[Point]:
    newest = versions[0]
    points = []
    for version in versions:
        try:
            at = clock.parse_iso(version.occurred)
        except Invalid:
            continue
        same = (version.model, version.model_version) == (newest.model, newest.model_version)
        points.append(Point(at, clinical.day(version.occurred), version.probability, same))
    return points


def _legend(versions: Sequence[Assessment]) -> str:
    """Say what the marks of the trend mean, as far as they occur."""
    newest = versions[0]
    others = any((v.model, v.model_version) != (newest.model, newest.model_version) and v.probability is not None for v in versions)
    said = "One version is stored so far." if len(versions) == 1 else f"{len(versions)} stored versions."
    square = " A square is an estimate of another model version." if others else ""
    cross = " A cross is a time when no estimate could be made." if any(v.probability is None for v in versions) else ""
    return said + square + cross


def _version(version: Assessment) -> dict[str, str]:
    known, baseline = version.probability, version.baseline
    return {
        "number": version.version,
        "made": clinical.minute(version.occurred),
        "risk": "no estimate" if known is None else percent(known),
        "baseline": "" if baseline is None else percent(baseline),
        "distance": "" if known is None or baseline is None else size(logit(known) - logit(baseline)),
        "model": f"{version.model} {version.model_version}".strip(),
    }
