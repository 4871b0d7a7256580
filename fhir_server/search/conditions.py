"""One search criterion as SQL: a probe of a given resource, or the index rows that find resources.

Spec: https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from fhir_server.hashing import value_hash
from fhir_server.indexing.rows import STRING_LENGTH, clinical_date, rank_of, unit_hash
from fhir_server.indexing.values import fold
from fhir_server.search.params import SearchParam
from fhir_server.search.string_operators import STRING_OPERATORS, compared
from fhir_server.search.text_parameters import KIND, text_condition, text_rows
from fhir_server.search.tree import ID, LAST_UPDATED, Criterion
from fhir_server.search.values import Amount, DateRange, ReferenceTo, Text, Token, Value, ancestors
from fhir_server.type_ids import TYPE_IDS

_TABLES: Final = {
    "token": "idx_token",
    "uri": "idx_token",
    "reference": "idx_reference",
    "string": "idx_string",
    "date": "idx_date",
    "quantity": "idx_quantity",
    "number": "idx_quantity",
}
_EQUALITY: Final = frozenset({"token", "uri", "reference"})
_SHORT: Final = 32
"""Longer lists travel as one parameter, and are probed by their index rows rather than value by value."""
_AFTER_ALL_TEXT: Final = "\U0010ffff"


class Condition(NamedTuple):
    """Boolean SQL and its parameters."""

    sql: str
    params: tuple[object, ...]


class DriverRows(NamedTuple):
    """Index rows (alias d) that find resources."""

    table: str
    where: str
    params: tuple[object, ...]
    ordered: bool
    """They share one exact key, so they are in page order."""
    bounded: bool
    """They lie next to each other, so that counting a few is cheap."""


def condition(criterion: Criterion, dialect: str, *, indexed: bool = False) -> Condition:
    """Write the probe of one criterion over alias r of table resource; a column is looked up by index only if asked to."""
    param = criterion.param
    if param is ID:
        inside = _in("r.fhir_id", [value.code for value in criterion.values if isinstance(value, Token)], dialect)
        return Condition(f"NOT ({inside.sql})", inside.params) if criterion.modifier == "not" else inside
    if param is LAST_UPDATED:
        # A plus sign keeps both databases from walking the index on a range that is not selective.
        column = "r.updated" if indexed else "+r.updated"
        parts = [_updated(value, column) for value in criterion.values if isinstance(value, DateRange)]
        return _any(parts)
    if param.type == KIND:
        return Condition(*text_condition(criterion, dialect))
    if criterion.missing is not None:
        return _missing(param, missing=criterion.missing)
    table = _TABLES[param.type]
    values = _values(criterion, "t", dialect)
    if param.type in _EQUALITY and len(_wanted(criterion)) > _SHORT:
        found = f"r.rid IN (SELECT t.rid FROM {table} t WHERE t.param = ? AND {values.sql})"
    else:
        place = "t.rank = r.rank AND t.rid = r.rid" if param.type in _EQUALITY else "t.rid = r.rid"
        found = f"EXISTS (SELECT 1 FROM {table} t WHERE {place} AND t.param = ? AND {values.sql})"
    return Condition(f"NOT {found}" if criterion.modifier == "not" else found, (param.id, *values.params))


def listed_ids(criterion: Criterion, dialect: str) -> tuple[Condition, Condition]:
    """Write FROM and WHERE that look up each public id of a list by its index, rather than walk the type."""
    ids = sorted({value.code for value in criterion.values if isinstance(value, Token) and value.code})
    if dialect == "postgresql":
        return Condition("unnest(CAST(? AS text[])) d(value) CROSS JOIN resource r", (ids,)), Condition("r.fhir_id = d.value", ())
    return Condition("json_each(?) d CROSS JOIN resource r", (msgspec.json.encode(ids).decode(),)), Condition("r.fhir_id = d.value", ())


def driver_rows(criterion: Criterion, dialect: str) -> DriverRows:
    """Write the index rows of one criterion."""
    param = criterion.param
    if param.type == KIND:
        return DriverRows(*text_rows(criterion, dialect), ordered=False, bounded=False)
    values = _values(criterion, "d", dialect)
    ordered = param.type in _EQUALITY and len(_wanted(criterion)) == 1
    scan = param.type in ("date", "quantity", "number") and not all(_bounded(value) for value in criterion.values)
    return DriverRows(
        _TABLES[param.type], f"d.param = ? AND {values.sql}", (param.id, *values.params), ordered, not scan
    )


def rank_bound(type_: str, criterion: Criterion) -> Condition | None:
    """Bound the rank where a criterion on the clinical date implies one, so that a page starts where matches can be."""
    ranking = clinical_date(type_)
    if ranking is None or criterion.param.id != ranking.id or len(criterion.values) != 1:
        return None
    value = criterion.values[0]
    if not isinstance(value, DateRange) or value.prefix not in ("eq", "lt", "le", "eb"):
        return None
    return Condition("r.rank >= ?", (rank_of(value.high),))


def _bounded(value: Value) -> bool:
    """Tell whether the rows of a range are next to each other at one end of the index."""
    return isinstance(value, DateRange | Amount) and value.prefix not in ("ne", "gt", "ge", "co", "po")


def _any(parts: list[Condition]) -> Condition:
    return Condition(
        "(" + " OR ".join(part.sql for part in parts) + ")", tuple(each for part in parts for each in part.params)
    )


def _in(column: str, values: Sequence[object], dialect: str) -> Condition:
    if not values:
        return Condition("1 = 0", ())
    if len(values) <= _SHORT:
        return Condition(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))
    if dialect == "postgresql":
        return Condition(f"{column} = ANY(?)", (list(values),))
    return Condition(f"{column} IN (SELECT j.value FROM json_each(?) j)", (msgspec.json.encode(values).decode(),))


def _missing(param: SearchParam, *, missing: bool) -> Condition:
    """Probe for any index row of a parameter; a reference may be an identifier alone, which is a token."""
    word, table = "NOT " if missing else "", _TABLES[param.type]
    if param.type not in _EQUALITY:  # these tables are found by resource
        return Condition(f"{word}EXISTS (SELECT 1 FROM {table} t WHERE t.rid = r.rid AND t.param = ?)", (param.id,))
    rows = f"SELECT t.rid FROM {table} t WHERE t.param = ?"
    if param.type != "reference":
        return Condition(f"r.rid {word}IN ({rows})", (param.id,))
    return Condition(f"r.rid {word}IN ({rows} UNION ALL SELECT t.rid FROM idx_token t WHERE t.param = ?)", (param.id, param.id))


def _wanted(criterion: Criterion) -> list[int]:
    """Hashes that an equality index is asked for."""
    if criterion.param.type not in _EQUALITY:
        return []
    values = criterion.values
    if criterion.modifier == "above":
        values = tuple(Text(url) for value in values if isinstance(value, Text) for url in ancestors(value.text))
    return sorted({each for value in values for each in _hashes(criterion.param, value)})


def _values(criterion: Criterion, alias: str, dialect: str) -> Condition:
    if criterion.param.type in _EQUALITY:
        return _in(f"{alias}.value", _wanted(criterion), dialect)
    return _any([_range(criterion, value, alias) for value in criterion.values])


def _range(criterion: Criterion, value: Value, alias: str) -> Condition:
    if isinstance(value, DateRange):
        return _date(value, alias)
    if isinstance(value, Amount):
        return _amount(value, alias)
    return _string(criterion.modifier, value.text if isinstance(value, Text) else "", alias)


def _hashes(param: SearchParam, value: Value) -> list[int]:
    if isinstance(value, Token):
        if value.system is None:
            return [value_hash(value.code or "")]
        return [value_hash(f"{value.system}|{value.code or ''}")]
    if isinstance(value, ReferenceTo):
        if value.url:
            return [value_hash(value.url)]
        targets = (value.type,) if value.type else (param.targets or tuple(TYPE_IDS))
        if "Resource" in targets:
            targets = tuple(TYPE_IDS)
        addresses = [f"{target}/{value.id}" for target in targets]
        # Where many types are possible the element may be a canonical, and a canonical may be any word.
        return [value_hash(address) for address in (addresses if len(addresses) == 1 else [*addresses, value.id])]
    return [value_hash(value.text)] if isinstance(value, Text) else []


def _string(modifier: str, text: str, alias: str) -> Condition:
    folded = fold(text)[:STRING_LENGTH]
    if modifier in STRING_OPERATORS:
        return Condition(*compared(modifier, folded, f"{alias}.value"))
    if modifier == "exact":
        return Condition(f"({alias}.value = ? AND {alias}.exact = ?)", (folded, value_hash(text)))
    if modifier == "contains":
        # LIKE with escapes works on both databases.
        escaped = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return Condition(f"{alias}.value LIKE ? ESCAPE '\\'", (f"%{escaped}%",))
    return Condition(f"({alias}.value >= ? AND {alias}.value < ?)", (folded, folded + _AFTER_ALL_TEXT))


def _date(value: DateRange, alias: str) -> Condition:
    """Compare half-open ranges."""
    low, high = f"{alias}.low", f"{alias}.high"
    inside = f"({low} >= ? AND {low} < ? AND {high} <= ?)"
    return {
        "eq": lambda: Condition(inside, (value.low, value.high, value.high)),
        "ne": lambda: Condition(f"NOT {inside}", (value.low, value.high, value.high)),
        "gt": lambda: Condition(f"{high} > ?", (value.high,)),
        "lt": lambda: Condition(f"{low} < ?", (value.low,)),
        "ge": lambda: Condition(f"({high} > ? OR {low} >= ?)", (value.high, value.low)),
        "le": lambda: Condition(f"({low} < ? OR ({low} < ? AND {high} <= ?))", (value.low, value.high, value.high)),
        "co": lambda: Condition(f"({low} <= ? AND {high} >= ?)", (value.low, value.high)),
        "po": lambda: Condition(f"({low} < ? AND {high} > ?)", (value.high, value.low)),
        "sa": lambda: Condition(f"{low} >= ?", (value.high,)),
        "eb": lambda: Condition(f"({low} < ? AND {high} <= ?)", (value.low, value.low)),
    }[value.prefix]()


def _updated(value: DateRange, column: str) -> Condition:
    """Compare the time of the last update, a point; the range of the search value is half open."""
    return {
        "eq": lambda: Condition(f"({column} >= ? AND {column} < ?)", (value.low, value.high)),
        "ne": lambda: Condition(f"NOT ({column} >= ? AND {column} < ?)", (value.low, value.high)),
        "gt": lambda: Condition(f"{column} >= ?", (value.high,)),
        "sa": lambda: Condition(f"{column} >= ?", (value.high,)),
        "lt": lambda: Condition(f"{column} < ?", (value.low,)),
        "eb": lambda: Condition(f"{column} < ?", (value.low,)),
        "ge": lambda: Condition(f"{column} >= ?", (value.low,)),
        "le": lambda: Condition(f"{column} < ?", (value.high,)),
    }[value.prefix]()


def _amount(value: Amount, alias: str) -> Condition:
    """Compare numbers; equality takes the precision of the search value, the others its exact value."""
    low, high = f"{alias}.low", f"{alias}.high"
    inside = f"({low} >= ? AND {high} <= ?)"
    number = {
        "eq": lambda: Condition(inside, (value.low, value.high)),
        "ne": lambda: Condition(f"NOT {inside}", (value.low, value.high)),
        "gt": lambda: Condition(f"{high} > ?", (value.value,)),
        "sa": lambda: Condition(f"{low} > ?", (value.value,)),
        "lt": lambda: Condition(f"{low} < ?", (value.value,)),
        "eb": lambda: Condition(f"{high} < ?", (value.value,)),
        "ge": lambda: Condition(f"{high} >= ?", (value.value,)),
        "le": lambda: Condition(f"{low} <= ?", (value.value,)),
        "ap": lambda: Condition(inside, (value.value - abs(value.value) / 10, value.value + abs(value.value) / 10)),
    }[value.prefix]()
    if value.code is None:
        return number
    unit = f"{alias}.code" if value.system is None else f"{alias}.unit"
    wanted = value_hash(value.code) if value.system is None else unit_hash(value.system, value.code)
    return Condition(f"({number.sql} AND {unit} = ?)", (*number.params, wanted))


