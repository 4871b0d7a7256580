"""A stored RiskAssessment as the facts of a card; total over its input, what is wrong comes back with its path.

Spec: https://hl7.org/fhir/R4/riskassessment.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cds_hooks.risk_models import BASE, RISK_MODEL, RISK_MODELS
from cds_hooks.shape import Shape
from chartloop.kernel.errors import Issue
from fhir_server.indexing.dates import date_bounds
from fhir_server.redaction import is_subsetted

EXTENSION: Final = f"{BASE}/StructureDefinition"
_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_FIRST_US, _END_US = -62_135_596_800_000_000, 253_402_300_800_000_000
"""The years 1 to 9999 in UTC: a leap second or an offset at either end lies outside, and nothing can write it."""
_SHOWN: Final = frozenset({"final", "amended", "corrected"})
_WAITING: Final = frozenset({"preliminary", "registered"})
_UNITS: Final[Mapping[str, str]] = {"a": "years", "mm[Hg]": "mmHg", "kg/m2": "kg/m²", "mL/min/{1.73_m2}": "mL/min/1.73 m²"}


@dataclass(frozen=True, slots=True)
class Factor:
    """One value that moved a prediction; `log_odds` is against the baseline, `value` and `date` are as they were recorded."""

    feature: str
    label: str
    value: str
    date: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """One stored prediction; without a probability its inputs were not enough.

    Attributes:
        id: Id of the RiskAssessment, "" where it has none.
        version: What tells one version from the next: versionId, else the hash of the inputs.
        made: When it was calculated, microseconds since 1970 UTC.
    """

    id: str
    version: str
    model: str
    model_name: str
    model_version: str
    outcome: str
    made: int
    probability: float | None
    baseline: float | None
    baseline_text: str
    factors: tuple[Factor, ...]
    missing: tuple[str, ...]
    labels_source: str


def read_prediction(resource: Mapping[str, Any], path: str = "RiskAssessment") -> tuple[Prediction | None, list[Issue]]:
    """Read one RiskAssessment.

    Args:
        resource: A parsed RiskAssessment.
        path: Where it stands, for the issues.

    Returns:
        The prediction and no issues; no prediction where it is none of ours, is withdrawn or is shown in part; or the issues.
    """
    coding = _coding(resource)
    status = resource.get("status")
    if coding is None or not isinstance(status, str) or status not in _SHOWN | _WAITING or is_subsetted(resource):
        return None, []
    shape = Shape()
    found = _prediction(shape, resource, coding, path, waiting=status in _WAITING)
    return (None, shape.issues) if shape.issues else (found, [])


def _coding(resource: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The coding of the method that names one of our models."""
    method = resource.get("method")
    codings = method.get("coding") if isinstance(method, dict) else None
    for coding in codings if isinstance(codings, list) else []:
        if isinstance(coding, dict) and coding.get("system") == RISK_MODEL and isinstance(coding.get("code"), str) and coding["code"] in RISK_MODELS:
            return coding
    return None


def _prediction(shape: Shape, resource: Mapping[str, Any], coding: Mapping[str, Any], path: str, *, waiting: bool) -> Prediction:
    extensions = shape.objects(resource, "extension", path)
    meta = shape.take(resource, "meta", dict, path) or {}
    code = shape.take(resource, "code", dict, path) or {}
    baseline, baseline_text = _baseline(shape, extensions)
    inputs = _strings(shape, extensions, "risk-input")
    version = shape.take(meta, "versionId", str, f"{path}.meta") or "".join(inputs[:1])
    return Prediction(
        id=_id(shape, resource, path),
        version=version,
        model=str(coding["code"]),
        model_name=shape.take(coding, "display", str, f"{path}.method.coding") or str(coding["code"]),
        model_version=shape.take(coding, "version", str, f"{path}.method.coding") or "",
        outcome=shape.take(code, "text", str, f"{path}.code") or "Risk of stroke",
        made=_moment(shape, resource, path),
        probability=None if waiting else _probability(shape, resource, path),
        baseline=baseline,
        baseline_text=baseline_text,
        factors=tuple(_factor(shape, where, extension) for where, extension in _of(extensions, "risk-contribution")),
        missing=tuple(_strings(shape, extensions, "risk-missing")),
        labels_source="".join(_strings(shape, extensions, "risk-labels-source")[:1]),
    )


def _id(shape: Shape, resource: Mapping[str, Any], path: str) -> str:
    text = shape.take(resource, "id", str, path) or ""
    if text and not _ID.fullmatch(text):
        shape.fault(f"{path}.id", "This must be the id of a resource.")
    return text


def _moment(shape: Shape, resource: Mapping[str, Any], path: str) -> int:
    text = shape.take(resource, "occurrenceDateTime", str, path, required=True) or ""
    bounds = date_bounds(text) if text else None
    if text and (bounds is None or not _FIRST_US <= bounds[0] < _END_US):
        shape.fault(f"{path}.occurrenceDateTime", "This must be a date or an instant.")
    return bounds[0] if bounds else 0


def _probability(shape: Shape, resource: Mapping[str, Any], path: str) -> float | None:
    for where, prediction in shape.objects(resource, "prediction", path):
        found = _share(shape, prediction, "probabilityDecimal", where)
        if found is not None:
            return found
    return None


def _share(shape: Shape, holder: Mapping[str, Any], name: str, path: str) -> float | None:
    found = shape.number(holder, name, path)
    if found is not None and not 0 <= found <= 1:
        shape.fault(f"{path}.{name}", "This must be between 0 and 1.")
    return found


def _of(extensions: Sequence[tuple[str, dict[str, Any]]], name: str) -> list[tuple[str, dict[str, Any]]]:
    return [(where, extension) for where, extension in extensions if extension.get("url") == f"{EXTENSION}/{name}"]


def _strings(shape: Shape, extensions: Sequence[tuple[str, dict[str, Any]]], name: str) -> list[str]:
    found = [shape.take(extension, "valueString", str, where, required=True) for where, extension in _of(extensions, name)]
    return [text for text in found if text]


def _parts(shape: Shape, where: str, extension: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The inner extensions by their short url; of several the first counts."""
    parts: dict[str, tuple[str, dict[str, Any]]] = {}
    for path, part in shape.objects(extension, "extension", where):
        parts.setdefault(str(part.get("url")), (path, part))
    return parts


def _baseline(shape: Shape, extensions: Sequence[tuple[str, dict[str, Any]]]) -> tuple[float | None, str]:
    for where, extension in _of(extensions, "risk-baseline"):
        parts = _parts(shape, where, extension)
        probability_at, probability = parts.get("probability", (where, {}))
        text_at, text = parts.get("text", (where, {}))
        return _share(shape, probability, "valueDecimal", probability_at), shape.take(text, "valueString", str, text_at) or ""
    return None, ""


def _factor(shape: Shape, where: str, extension: Mapping[str, Any]) -> Factor:
    parts = _parts(shape, where, extension)
    nothing: tuple[str, dict[str, Any]] = (where, {})
    feature_at, feature = parts.get("feature", nothing)
    label_at, label = parts.get("label", nothing)
    date_at, date = parts.get("date", nothing)
    size_at, size = parts.get("contribution", nothing)
    name = shape.take(feature, "valueCode", str, feature_at, required=True) or ""
    log_odds = shape.number(size, "valueDecimal", size_at)
    if log_odds is None:
        shape.fault(f"{size_at}.valueDecimal", "This is required.")
    day = shape.take(date, "valueDateTime", str, date_at) or ""
    if day and date_bounds(day) is None:
        shape.fault(f"{date_at}.valueDateTime", "This must be a date or an instant.")
    value = _quantity(shape, parts.get("valueQuantity", nothing)) or _text(shape, parts.get("valueString", nothing))
    return Factor(name, shape.take(label, "valueString", str, label_at) or name, value, day[:10], log_odds or 0.0)


def _text(shape: Shape, part: tuple[str, dict[str, Any]]) -> str:
    where, extension = part
    return shape.take(extension, "valueString", str, where) or ""


def _quantity(shape: Shape, part: tuple[str, dict[str, Any]]) -> str:
    where, extension = part
    quantity = shape.take(extension, "valueQuantity", dict, where) or {}
    at = f"{where}.valueQuantity"
    if shape.number(quantity, "value", at) is None:
        return ""
    code, unit = shape.take(quantity, "code", str, at) or "", shape.take(quantity, "unit", str, at) or ""
    return f"{_digits(quantity['value'])} {_UNITS.get(code, unit or code)}".rstrip()


def _digits(value: Any) -> str:
    """A number as it was recorded: 72.50 stays 72.50."""
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    return format(exact, "f") if abs(exact.adjusted()) < 15 else str(exact)
