"""Results: the value of an Observation or of one of its components as OMOP's value columns.

Spec: https://hl7.org/fhir/R4/observation.html
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple

from omop_bridge.concepts import OPERATORS
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.sampled import sampled_summary

UCUM = "http://unitsofmeasure.org"

ABSENT = "value-absent"
WORDS = "value-in-words"


class Value(NamedTuple):
    """One result; `source` is the value as it was written, `string` what the observation table may say in letters."""

    number: float | None = None
    operator: int | None = None
    concept_id: int | None = None
    source: str | None = None
    string: str | None = None
    unit: int | None = None
    unit_source: str | None = None
    low: float | None = None
    high: float | None = None


def element_to_value(element: Mapping[str, Any], coder: Coder, *, words: bool, total: bool = False) -> Value | str | None:
    """Read the value of an Observation or component.

    Args:
        element: The Observation or component.
        coder: Finds concepts.
        words: Whether a result in words may be kept.
        total: A series is added up; else it is averaged.

    Returns:
        The value; or the reason why there is none to keep; or None where the element has none at all.
    """
    name = next((name for name in element if name.startswith("value") and name in _READERS), None)
    if name is None:
        return ABSENT if element.get("dataAbsentReason") else None
    found = _sampled(element[name], coder, total=total) if name == "valueSampledData" else _READERS[name](element[name], coder)
    if found is None:
        return ABSENT
    if not words and (name == "valueString" or (name == "valueCodeableConcept" and found.string)):
        return WORDS
    if found.number is None:
        return found
    low, high = _range(element)
    return found._replace(low=low, high=high)


def _range(element: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The reference range; of several the one that applies to everybody, which comes first."""
    for each in element.get("referenceRange", ()):
        if not each.get("appliesTo") and not each.get("age"):
            return _number(each.get("low")), _number(each.get("high"))
    return None, None


def _number(quantity: Mapping[str, Any] | None) -> float | None:
    value = (quantity or {}).get("value")
    return None if value is None else _finite(value)


def quantity_to_unit(quantity: Mapping[str, Any], coder: Coder) -> tuple[int | None, str | None]:
    """Unit concept and unit as written; only UCUM codes are looked up."""
    code = quantity.get("code") or quantity.get("unit")
    if not code:
        return None, None
    known = quantity.get("system") == UCUM and quantity.get("code")
    return coder.concepts.unit(str(quantity["code"])) if known else 0, str(code)


def _quantity(value: Mapping[str, Any], coder: Coder) -> Value | None:
    number = value.get("value")
    if number is None:
        return None
    comparator = str(value.get("comparator", ""))
    unit, unit_source = quantity_to_unit(value, coder)
    return Value(_finite(number), OPERATORS.get(comparator), source=f"{comparator}{number}", unit=unit, unit_source=unit_source)


def _finite(number: Decimal | int) -> float | None:
    """A number as a float; none where it is larger than a float can be."""
    found = float(number)
    return found if isfinite(found) else None


def _concept(value: Mapping[str, Any], coder: Coder) -> Value | None:
    coded, text = coder.coded(value), value.get("text")
    if coded:
        return Value(concept_id=coded.concept_id, source=coded.source_value)
    return _text(text, coder) if text else None


def _boolean(value: object, _coder: Coder) -> Value:
    text = "true" if value is True else "false"
    return Value(source=text, string=text)


def _integer(value: int, _coder: Coder) -> Value:
    return Value(float(value), source=str(value))


def _text(value: object, _coder: Coder) -> Value:
    return Value(source=str(value), string=str(value))


def _between(value: Mapping[str, Any], _coder: Coder) -> Value:
    text = f"{_part(value.get('low'))}-{_part(value.get('high'))}"
    return Value(source=text, string=text)


def _ratio(value: Mapping[str, Any], _coder: Coder) -> Value:
    text = f"{_part(value.get('numerator'))}:{_part(value.get('denominator'))}"
    return Value(source=text, string=text)


def _part(quantity: Mapping[str, Any] | None) -> str:
    value: Decimal | int | None = (quantity or {}).get("value")
    return "" if value is None else f"{(quantity or {}).get('comparator', '')}{value}"


def _period(value: Mapping[str, Any], _coder: Coder) -> Value:
    text = f"{value.get('start', '')}/{value.get('end', '')}"
    return Value(source=text, string=text)


def _sampled(value: Mapping[str, Any], coder: Coder, *, total: bool) -> Value | None:
    summary = sampled_summary(value, total=total)
    if summary is None:
        return None
    unit, unit_source = quantity_to_unit(value.get("origin", {}), coder)
    return Value(summary.number, source=summary.text, unit=unit, unit_source=unit_source)


_READERS: Mapping[str, Any] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": _concept,
    "valueBoolean": _boolean,
    "valueInteger": _integer,
    "valueString": _text,
    "valueTime": _text,
    "valueDateTime": _text,
    "valueRange": _between,
    "valueRatio": _ratio,
    "valuePeriod": _period,
    "valueSampledData": _sampled,
}
