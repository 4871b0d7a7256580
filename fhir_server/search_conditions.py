"""One search criterion as SQL: a probe of a given resource, or the index rows that find resources.

Spec: https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fhir_server.hashing import value_hash
from fhir_server.index_rows import STRING_LENGTH, clinical_date, rank_of, unit_hash
from fhir_server.indexer_values import fold
from fhir_server.search_params import SearchParam
from fhir_server.search_query import ID, LAST_UPDATED, Criterion
from fhir_server.search_values import Amount, DateRange, ReferenceTo, Text, Token, Value
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


def condition(criterion: Criterion, *, indexed: bool = False) -> Condition:
    """Write the probe of one criterion over alias r of table resource; a column is looked up by index only if asked to."""
    param = criterion.param
    if param is ID:
        ids = [value.code for value in criterion.values if isinstance(value, Token)]
        inside = f"r.fhir_id IN ({', '.join('?' * len(ids))})"
        return Condition(f"NOT {inside}" if criterion.modifier == "not" else inside, tuple(ids))
    if param is LAST_UPDATED:
        # A plus sign keeps both databases from walking the index on a range that is not selective.
        column = "r.updated" if indexed else "+r.updated"
        parts = [_updated(value, column) for value in criterion.values if isinstance(value, DateRange)]
        return _any(parts)
    table = _TABLES[param.type]
    if criterion.missing is not None:
        inside = f"r.rid IN (SELECT t.rid FROM {table} t WHERE t.param = ?)"
        return Condition(f"NOT {inside}" if criterion.missing else inside, (param.id,))
    place = "t.rank = r.rank AND t.rid = r.rid" if param.type in _EQUALITY else "t.rid = r.rid"
    values = _values(criterion, "t")
    exists = f"EXISTS (SELECT 1 FROM {table} t WHERE {place} AND t.param = ? AND {values.sql})"
    return Condition(f"NOT {exists}" if criterion.modifier == "not" else exists, (param.id, *values.params))


def driver_rows(criterion: Criterion) -> DriverRows:
    """Write the index rows of one criterion."""
    param = criterion.param
    values = _values(criterion, "d")
    equality = param.type in _EQUALITY
    ordered = equality and len(values.params) == 1
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
    return isinstance(value, DateRange | Amount) and value.prefix not in ("ne", "gt", "ge")


def _any(parts: list[Condition]) -> Condition:
    return Condition(
        "(" + " OR ".join(part.sql for part in parts) + ")", tuple(each for part in parts for each in part.params)
    )


def _values(criterion: Criterion, alias: str) -> Condition:
    if criterion.param.type in _EQUALITY:
        hashes = sorted({each for value in criterion.values for each in _hashes(criterion.param, value)})
        return Condition(f"{alias}.value IN ({', '.join('?' * len(hashes))})", tuple(hashes))
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
        return [value_hash(f"{target}/{value.id}") for target in targets]
    return [value_hash(value.text)] if isinstance(value, Text) else []


def _string(modifier: str, text: str, alias: str) -> Condition:
    folded = fold(text)[:STRING_LENGTH]
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


