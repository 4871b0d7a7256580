"""Numbers and quantities as SQL over an index row: its ends, and its unit.

Equality is as wide as the search value is precise, its upper end excluded; the other prefixes take its exact value; `ap` is ten
per cent of it to either side. A quantity that was stored as a range has a second row with its ends exchanged (indexing.ranges).
Spec: https://hl7.org/fhir/R4/search.html#number, https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from fhir_server.hashing import value_hash
from fhir_server.indexing.units import unit_hash
from fhir_server.search.values import Amount

Sql = tuple[str, tuple[object, ...]]


def compared(value: Amount, alias: str) -> Sql:
    """Write the comparison of one search value."""
    number = _number(value, alias)
    if value.code is None:
        return number
    if value.system is None:
        return _and(number, (f"{alias}.code = ?", (value_hash(value.code),)))
    if value.units is None:
        return _and(number, (f"{alias}.unit = ?", (unit_hash(value.system, value.code),)))
    parts = [
        _and((f"{alias}.unit = ?", (unit,)), _number(value._replace(low=low, high=high, value=exact), alias))
        for unit, low, high, exact in value.units
    ]
    if not parts:
        return "1 = 0", ()
    return "(" + " OR ".join(sql for sql, _ in parts) + ")", tuple(each for _, params in parts for each in params)


def _and(one: Sql, other: Sql) -> Sql:
    return f"({one[0]} AND {other[0]})", (*one[1], *other[1])


def _number(value: Amount, alias: str) -> Sql:
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
        "ap": (f"({low} <= ? AND {high} >= ?)", (value.high, value.low)),
    }
    return written[value.prefix]
