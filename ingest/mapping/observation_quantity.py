"""Numbers and their units: OBX-5 of NM, SN and NR with OBX-6; reference ranges of OBX-7.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-datatype-sn-to-quantity.html
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ingest.hl7v2.message import Repetition, Segment
from ingest.hl7v2.problem import TABLE_VALUE, Problem
from ingest.mapping.datatypes import clean, compact, problem
from ingest.mapping.units import UCUM, ucum_code

_NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?"
_PLAIN = re.compile(_NUMBER)
_COMPARED = re.compile(rf"(<=|>=|=<|=>|≤|≥|<|>|=)\s*({_NUMBER})")
_SPAN = re.compile(rf"({_NUMBER})\s*(?:-|\u2013|to|\.\.\.?)\s*({_NUMBER})(?:\s+|(?=[A-Za-z%\[{{/])|$)(.*)", re.IGNORECASE)
_BOUND = re.compile(rf"(<=|>=|=<|=>|≤|≥|<|>)\s*({_NUMBER})\s*(.*)")
_FOLLOWED = re.compile(rf"((?:<=|>=|=<|=>|≤|≥|<|>|=)?\s*{_NUMBER})\s*([A-Za-z%\[{{/].*)")
_EXPONENT = re.compile(r"[23]\)?(?:/.*)?")
_COMPARATORS = {"<": "<", "<=": "<=", "=<": "<=", "≤": "<=", ">": ">", ">=": ">=", "=>": ">=", "≥": ">="}
_MOST_DIGITS = 28
_TEN = frozenset({"10", "x10", "X10"})


def decimal_of(text: str) -> Decimal | None:
    """Exact value of a number as written; a comma only groups thousands, since elsewhere it may be a decimal comma."""
    text = text.strip()
    if not _PLAIN.fullmatch(text):
        return None
    value = Decimal(text.replace(",", ""))
    return value if len(value.as_tuple().digits) <= _MOST_DIGITS else None


def unit_of(segment: Segment, problems: list[Problem]) -> dict[str, Any]:
    """OBX-6 as unit, system and code of a Quantity; without a UCUM code the unit is kept as it was written, with a warning."""
    field = segment.first(6)
    if not field:
        return {}
    written = _written(field)
    shown = clean(field.value(2)) if written == clean(field.value(1)) else ""
    for text, display in ((written, shown), (clean(field.value(4)), clean(field.value(5)))):
        code = ucum_code(text) if text else None
        if code is not None:
            return {"unit": display or text, "system": UCUM, "code": code}
    unit = written or clean(field.value(2)) or clean(field.value(5))
    if unit:
        problems.append(problem(segment, 6, "OBX-6 is no unit that UCUM knows: kept as text", TABLE_VALUE))
    return {"unit": unit} if unit else {}


def quantity(value: Decimal, unit: dict[str, Any], comparator: str = "") -> dict[str, Any]:
    """FHIR Quantity."""
    return compact({"comparator": _COMPARATORS.get(comparator, "")}) | {"value": value, **unit}


def numeric_value(text: str, unit: dict[str, Any]) -> dict[str, Any]:
    """A number, alone or behind a comparator, as valueQuantity; its own unit may follow it once more; empty if the text is neither."""
    text = text.strip()
    followed = _FOLLOWED.fullmatch(text)
    if followed is not None and unit.get("code") and ucum_code(followed.group(2)) == unit["code"]:
        text = followed.group(1)
    value, comparator = decimal_of(text), ""
    compared = _COMPARED.fullmatch(text)
    if value is None and compared:
        comparator, value = compared.group(1), decimal_of(compared.group(2))
    return {} if value is None else {"valueQuantity": quantity(value, unit, comparator)}


def structured_value(field: Repetition, unit: dict[str, Any]) -> dict[str, Any]:
    """SN: valueQuantity with comparator, valueRange or valueRatio; empty if it is none of them."""
    comparator, first, separator, second = (field.value(number).strip() for number in (1, 2, 3, 4))
    if not first and not separator and not second:
        return numeric_value(comparator, unit)
    low, high = decimal_of(first), decimal_of(second)
    if comparator not in ("", "=", *_COMPARATORS):
        return {}
    if separator == "-" and (low is not None or not first) and (high is not None or not second) and comparator in ("", "="):
        return {"valueRange": compact({"low": _maybe(low, unit), "high": _maybe(high, unit)})}
    if separator in (":", "/") and low is not None and high is not None:
        return {"valueRatio": {"numerator": quantity(low, unit, comparator), "denominator": quantity(high, unit)}}
    if not separator and not second and low is not None:
        return {"valueQuantity": quantity(low, unit, comparator)}
    return {}


def range_value(field: Repetition, unit: dict[str, Any]) -> dict[str, Any]:
    """NR: valueRange of two numbers; empty if it is none."""
    low, high = decimal_of(field.value(1)), decimal_of(field.value(2))
    if low is None and high is None:
        return {}
    return {"valueRange": compact({"low": _maybe(low, unit), "high": _maybe(high, unit)})}


def reference_ranges(segment: Segment, unit: dict[str, Any]) -> list[dict[str, Any]]:
    """OBX-7 as text, with low and high where the text is sure about them and speaks of the unit of the value."""
    texts = [clean(field.text()) for field in segment.repetitions(7)]
    return [{**_bounds(text, unit), "text": text} for text in texts if text]


def _bounds(text: str, unit: dict[str, Any]) -> dict[str, Any]:
    span, bound = _SPAN.fullmatch(text), _BOUND.fullmatch(text)
    if span and _same_unit(span.group(3), unit):
        low, high = decimal_of(span.group(1)), decimal_of(span.group(2))
        return {"low": quantity(low, unit), "high": quantity(high, unit)} if low is not None and high is not None and low <= high else {}
    if bound and _same_unit(bound.group(3), unit):
        value = decimal_of(bound.group(2))
        name = "high" if bound.group(1)[0] in "<=≤" and ">" not in bound.group(1) else "low"
        return {name: quantity(value, unit)} if value is not None else {}
    return {}


def _same_unit(rest: str, unit: dict[str, Any]) -> bool:
    """Whether words behind a range do not name another unit than that of the value."""
    code = ucum_code(rest) if rest else None
    return code is None or code == unit.get("code") or rest == unit.get("unit")


def _maybe(value: Decimal | None, unit: dict[str, Any]) -> dict[str, Any]:
    return {} if value is None else quantity(value, unit)


def _written(field: Repetition) -> str:
    """OBX-6.1; `10^3/uL` and `kg/m^2` with their circumflex unescaped stand in two components."""
    first, second = clean(field.value(1)), clean(field.value(2))
    power = first in _TEN and second[:1].isdigit()
    if (power or (first.endswith("m") and _EXPONENT.fullmatch(second))) and not field.value(3):
        return f"{first}^{second}"
    return first
