"""Numbers and quantities as SQL over an index row: its ends, and its unit.

Equality is as wide as the search value is precise, its upper end excluded; the other prefixes take its exact value; `ap` is ten
per cent of it to either side. A quantity that was stored as a range has a second row with its ends exchanged (indexing.ranges).
Spec: https://hl7.org/fhir/R4/search.html#number, https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from sys import float_info

from fhir_server.hashing import value_hash
from fhir_server.indexing.units import unit_hash
from fhir_server.search.values import Amount

Sql = tuple[str, tuple[object, ...]]


def alternatives(value: Amount, alias: str, *, ranged: bool = False) -> list[Sql]:
    """Write what a search value finds as alternatives, each one walk of the index; `ranged` where values may have two ends."""
    if value.code is None:
        return _number(value, alias, ranged=ranged)
    if value.system is None:
        return [_and((f"{alias}.code = ?", (value_hash(value.code),)), each) for each in _number(value, alias, ranged=ranged)]
    if value.units is None:
        return [_and((f"{alias}.unit = ?", (unit_hash(value.system, value.code),)), each) for each in _number(value, alias, ranged=ranged)]
    return [
        _and((f"{alias}.unit = ?", (unit,)), each)
        for unit, low, high, exact in value.units
        for each in _number(value._replace(low=low, high=high, value=exact), alias, ranged=ranged)
    ]


def _and(one: Sql, other: Sql) -> Sql:
    return f"({one[0]} AND {other[0]})", (*one[1], *other[1])


def _number(value: Amount, alias: str, *, ranged: bool) -> list[Sql]:
    low, high = f"{alias}.low", f"{alias}.high"
    inside = f"({low} >= ? AND {low} < ? AND {high} >= ? AND {high} < ?)"
    bounds, exact = (value.low, value.high, value.low, value.high), value.value
    written: dict[str, Sql] = {
        "eq": (inside, bounds),
        "ne": (f"({high} >= {low} AND NOT {inside})", bounds),
        "gt": (f"{low} > ?", (exact,)),
        "ge": (f"{low} >= ?", (exact,)),
        "lt": (f"{low} < ?", (exact,)),
        "le": (f"{low} <= ?", (exact,)),
        "sa": (f"({low} > ? AND {high} >= {low})", (exact,)),
        "eb": (f"({low} < ? AND {high} < ?)", (exact, exact)),
    }
    return _overlap(value, low, high, ranged=ranged) if value.prefix == "ap" else [written[value.prefix]]


def _overlap(value: Amount, low: str, high: str, *, ranged: bool) -> list[Sql]:
    """Write "has a part between the bounds": an end there, or one on either side; of a comparator one end is the last number there is."""
    if ranged:
        return [(f"({low} <= ? AND {high} >= ?)", (value.high, value.low))]
    return [
        (f"({low} >= ? AND {low} <= ?)", (value.low, value.high)),
        (f"({low} = ? AND {high} > ?)", (-float_info.max, value.high)),
        (f"({low} = ? AND {high} < ?)", (float_info.max, value.low)),
    ]
