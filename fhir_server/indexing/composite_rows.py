"""Rows of the composite index: one for each group, its first component a key, the second a key or a range.

Columns are shared by the kinds of components: `first` and `system` hold a token or a reference; `low` and `high` the range of a
quantity, date or number, the two numbers of a pair, or a second token; `unit` and `code` a quantity's unit; `code` a second token's
system; `value` a string. Whatever is compared beside another hash has 32 bits.
Spec: https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fhir_server.hashing import value_hash
from fhir_server.indexing.ranges import ends
from fhir_server.indexing.units import unit_of

COLUMNS: Final = ("param", "first", "low", "high", "unit", "code", "value", "system")
STRING_LENGTH: Final = 200
"""Folded strings are indexed by their first characters."""

Row = tuple[object, ...]
_Part = tuple[Any, ...]


def short_hash(text: str) -> int:
    """Hash in 32 bits."""
    return value_hash(text) >> 32


def number_hash(text: str) -> float:
    """Hash in 53 bits, which a double holds exactly: a token as a place in a range index."""
    return float(value_hash(text) >> 11)


def composite_rows(groups: Iterable[_Part]) -> Iterator[Row]:
    """Turn extracted groups (param, kinds, a row of each component) into rows."""
    for param, kinds, (_, *first), *others in groups:
        if kinds[0] == "token" and not first[1]:
            continue  # a system without a code is nothing to look for here
        key, system = _first(kinds[0], first)
        for low, high, unit, code, value in _second(kinds[1:], [part[1:] for part in others]):
            yield (param, key, low, high, unit, code, value, system)


def _first(kind: str, part: list[Any]) -> tuple[int, int]:
    if kind == "reference":
        type_, id_, original = part
        return value_hash(f"{type_}/{id_}" if id_ else original), 0
    system, code = part
    return value_hash(code), short_hash(system)


def _second(kinds: tuple[str, ...], parts: list[_Part]) -> Iterator[tuple[float, float, int, int, str]]:
    part = parts[0]
    if kinds == ("number", "number"):
        yield part[0], parts[1][0], 0, 0, ""
    elif kinds[0] == "token":
        if part[1]:
            key = number_hash(part[1])
            yield key, key, 0, short_hash(part[0]), ""
    elif kinds[0] == "string":
        yield 0.0, 0.0, 0, 0, part[0][:STRING_LENGTH]
    elif kinds[0] == "quantity":
        system, code, low, high, _ = part
        for each in ends(low, high):
            yield *each, unit_of(system, code), short_hash(code) if code else 0, ""
    else:
        yield float(part[0]), float(part[1]), 0, 0, ""
