"""Conversions between the system types, and whether they work.

Spec: http://hl7.org/fhirpath/N1/#conversion
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from fhir_server.fhirpath.functions import Call, plain
from fhir_server.fhirpath.operators import answer, single
from fhir_server.fhirpath.parts import Part
from fhir_server.fhirpath.quantity import Quantity, read_quantity
from fhir_server.fhirpath.run import Collection
from fhir_server.fhirpath.temporal import Temporal, read_temporal

_INTEGER: Final = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "0.0"})
_RANGE: Final = range(-(2**31), 2**31)
_MAX_EXPONENT: Final = 400


def _to_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, Decimal)):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        word = value.lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def _to_integer(value: Any) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value) if int(value) in _RANGE else None
    return None


def _to_decimal(value: Any) -> Decimal | None:
    if isinstance(value, (int, Decimal)):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _to_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}" if abs(value.adjusted()) < _MAX_EXPONENT else None
    return str(value) if isinstance(value, (str, int, Temporal, Quantity)) else None


def _to_moment(kind: str) -> Callable[[Any], Temporal | None]:
    def convert(value: Any) -> Temporal | None:
        if isinstance(value, str):
            return read_temporal(value, kind)
        if not isinstance(value, Temporal):
            return None
        if value.kind == kind:
            return value
        if "Time" in (value.kind, kind):
            return None
        return Temporal(kind, value.parts[:3] if kind == "Date" else value.parts, value.offset if kind == "DateTime" else None)

    return convert


def _to_quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, bool):
        return Quantity(Decimal("1.0" if value else "0.0"), "1")
    if isinstance(value, (int, Decimal)):
        return Quantity(Decimal(value), "1")
    return read_quantity(value) if isinstance(value, str) else None


def _conversion(type_: str, convert: Callable[[Any], Any]) -> None:
    def to(call: Call) -> Collection:
        value = single(call.items, call.at)
        return [] if value is None or isinstance(value, Part) else answer(_in_unit(convert(value), call.arguments, call.at))

    def converts(call: Call) -> Collection:
        value = single(call.items, call.at)
        return [] if value is None else [not isinstance(value, Part) and _in_unit(convert(value), call.arguments, call.at) is not None]

    most = 1 if type_ == "Quantity" else 0
    plain(0, most, name=f"to{type_}")(to)
    plain(0, most, name=f"convertsTo{type_}")(converts)


def _in_unit(value: Any, arguments: list[Collection], at: int) -> Any:
    """A quantity in the unit that is asked for; none where it does not convert."""
    if not arguments or not isinstance(value, Quantity):
        return value
    unit = single(arguments[0], at)
    return value.in_unit(unit) if isinstance(unit, str) else None


for _name, _work in (
    ("Boolean", _to_boolean), ("Integer", _to_integer), ("Decimal", _to_decimal), ("String", _to_text), ("Quantity", _to_quantity),
    *((kind, _to_moment(kind)) for kind in ("Date", "DateTime", "Time")),
):  # fmt: skip
    _conversion(_name, _work)
