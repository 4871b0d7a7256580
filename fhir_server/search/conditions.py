"""One search criterion as SQL: a probe of a given resource, or the index rows that find resources.

Spec: https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from fhir_server.hashing import value_hash
from fhir_server.indexing.composite_rows import STRING_LENGTH
from fhir_server.indexing.values import fold
from fhir_server.search.amounts import alternatives
from fhir_server.search.combinations import combined
from fhir_server.search.near import Near, within
from fhir_server.search.params import SearchParam
from fhir_server.search.security import is_security, labelled, labelled_rows
from fhir_server.search.string_operators import STRING_OPERATORS, compared
from fhir_server.search.text_parameters import KIND, text_condition, text_rows
from fhir_server.search.tree import ID, LAST_UPDATED, Criterion
from fhir_server.search.values import Amount, Combination, DateRange, Hashes, ReferenceTo, Text, Token, Value, Words, ancestors
from fhir_server.tables import LONG
from fhir_server.type_ids import TYPE_IDS

_TABLES: Final = {
    "token": "idx_token",
    "uri": "idx_token",
    "reference": "idx_reference",
    "string": "idx_string",
    "date": "idx_date",
    "quantity": "idx_quantity",
    "number": "idx_quantity",
    "composite": "idx_composite",
    "special": "idx_position",
}
_LOOKED_AT: Final = frozenset({"quantity", "number", "composite", "special"})
"""Probed resource by resource by a scalar subquery on SQLite too; on PostgreSQL all are, because it would turn EXISTS into a join over everything."""
_EQUALITY: Final = frozenset({"token", "uri", "reference"})
MAX_ARMS: Final = 32
"""Most walks that one statement has for one criterion."""
SHORT: Final = 32
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
    arms: tuple[Condition, ...] = ()
    """What `where` says, as alternatives that are each one walk of an index: neither database is good at that behind an OR."""

    @property
    def ranked(self) -> bool:
        """Whether they carry the rank."""
        return self.table in ("idx_token", "idx_reference")

    def found(self, *, distinct: bool = True) -> Condition:
        """Write the statement that lists the rids, each once if asked to."""
        if not 1 < len(self.arms) <= MAX_ARMS:
            return Condition(f"SELECT {'DISTINCT ' if distinct else ''}d.rid FROM {self.table} d WHERE {self.where}", self.params)
        each = [f"SELECT d.rid FROM {self.table} d WHERE {arm.sql}" for arm in self.arms]
        return Condition((" UNION " if distinct else " UNION ALL ").join(each), tuple(param for arm in self.arms for param in arm.params))


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
    if is_security(param):
        return Condition(*labelled(criterion, _wanted(criterion)))
    if criterion.missing is not None:
        return _missing(param, missing=criterion.missing)
    return _probe(criterion, dialect)


def _probe(criterion: Criterion, dialect: str) -> Condition:
    """Probe the index of a parameter."""
    param = criterion.param
    table = _TABLES[param.type]
    of_param, values = _of_param(param, "t"), _values(criterion, "t", dialect)
    if criterion.probe == "each by itself":
        return _looked_at(criterion, table, values)
    params = (*of_param.params, *values.params)
    if param.type in _EQUALITY and criterion.probe == "usual" and len(_wanted(criterion)) > SHORT:
        found = f"r.rid IN (SELECT t.rid FROM {table} t WHERE {of_param.sql} AND {values.sql})"
        return Condition(f"NOT {found}" if criterion.modifier == "not" else found, params)
    place = "t.rank = r.rank AND t.rid = r.rid" if param.type in _EQUALITY else "t.rid = r.rid"
    look = f"SELECT 1 FROM {table} t WHERE {place} AND {of_param.sql} AND {values.sql}"
    if dialect == "postgresql" or param.type in _LOOKED_AT:
        return Condition(seen(look, negated=criterion.modifier == "not"), params)
    return Condition(f"{'NOT ' if criterion.modifier == 'not' else ''}EXISTS ({look})", params)


def _looked_at(criterion: Criterion, table: str, values: Condition) -> Condition:
    """Probe candidate by candidate."""
    look = f"SELECT 1 FROM {table} t WHERE t.rank = r.rank AND t.rid = r.rid AND t.param = ? AND {values.sql}"
    return Condition(seen(look, negated=criterion.modifier == "not"), (criterion.param.id, *values.params))


def seen(look: str, *, negated: bool = False) -> str:
    """Write whether a look at one resource finds a row, so that PostgreSQL neither makes a join of it nor expects it to be rare.

    It takes 1 in 200 for `= 1` or `IS NULL` and nearly all for these two, and so walks in page order rather than sort what it has collected.
    """
    return f"COALESCE(({look} LIMIT 1), 0) <> 1" if negated else f"({look} LIMIT 1) IS NOT NULL"


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
    if is_security(param):
        return DriverRows(*labelled_rows(criterion, _wanted(criterion)), ordered=False, bounded=True)
    of_param, values = _of_param(param, "d"), _values(criterion, "d", dialect)
    ordered = param.type in _EQUALITY and len(_wanted(criterion)) == 1 and len(param.parts) < 2 and not _words(criterion)
    scan = param.type in ("date", "quantity", "number") and not all(_bounded(value) for value in criterion.values)
    return DriverRows(
        _TABLES[param.type], f"{of_param.sql} AND {values.sql}", (*of_param.params, *values.params), ordered, not scan,
        () if param.type in _EQUALITY else _arms(of_param, criterion),
    )  # fmt: skip


def _bounded(value: Value) -> bool:
    """Tell whether the rows of a range are next to each other at one end of the index."""
    if isinstance(value, Amount):
        return value.prefix not in ("ne", "co", "po")
    return isinstance(value, DateRange) and value.prefix not in ("ne", "co", "po")


def _of_param(param: SearchParam, alias: str) -> Condition:
    """Choose the index rows of a parameter; a composite may have those of several."""
    parts = param.parts or (param.id,)
    return Condition(f"{alias}.param IN ({', '.join('?' * len(parts))})" if len(parts) > 1 else f"{alias}.param = ?", parts)


def _any(parts: list[Condition]) -> Condition:
    if not parts:
        return Condition("1 = 0", ())
    return Condition(
        "(" + " OR ".join(part.sql for part in parts) + ")", tuple(each for part in parts for each in part.params)
    )


def _in(column: str, values: Sequence[object], dialect: str) -> Condition:
    if not values:
        return Condition("1 = 0", ())
    if len(values) <= SHORT:
        return Condition(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))
    if dialect == "postgresql":
        return Condition(f"{column} = ANY(?)", (list(values),))
    return Condition(f"{column} IN (SELECT j.value FROM json_each(?) j)", (msgspec.json.encode(values).decode(),))


def _missing(param: SearchParam, *, missing: bool) -> Condition:
    """Probe for any index row of a parameter; a reference may be an identifier alone, which is a token."""
    word, table = "NOT " if missing else "", _TABLES[param.type]
    if param.type not in _EQUALITY:  # these tables are found by resource
        of_param = _of_param(param, "t")
        if param.type in _LOOKED_AT:
            look = f"(SELECT 1 FROM {table} t WHERE t.rid = r.rid AND {of_param.sql} LIMIT 1)"
            return Condition(f"{look} IS {'' if missing else 'NOT '}NULL", of_param.params)
        return Condition(f"{word}EXISTS (SELECT 1 FROM {table} t WHERE t.rid = r.rid AND {of_param.sql})", of_param.params)
    rows = f"SELECT t.rid FROM {table} t WHERE t.param = ?"
    if param.type != "reference":
        return Condition(f"r.rid {word}IN ({rows})", (param.id,))
    return Condition(f"r.rid {word}IN ({rows} UNION ALL SELECT t.rid FROM idx_token t WHERE t.param = ?)", (param.id, param.id))


def exact_values(criterion: Criterion) -> list[int]:
    """Return the hashes of a criterion that means nothing but these; none where there are words to look up."""
    return [] if _words(criterion) else _wanted(criterion)


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
        wanted, words = _wanted(criterion), [word_rows(criterion.param, each) for each in _words(criterion)]
        if not words:
            return _in(f"{alias}.value", wanted, dialect)
        return _any([_in(f"{alias}.value", wanted, dialect), *(Condition(f"{alias}.value IN ({each.sql})", each.params) for each in words)])
    return _any([each for value in criterion.values for each in _ranges(criterion, value, alias)])


def word_rows(param: SearchParam, words: Words) -> Condition:
    """Write the statement for the hashes of some words."""
    inside, bounds = ("w.word >= ? AND w.word < ?", (words.low, words.high)) if words.high else ("w.word = ?", (words.low,))
    return Condition(f"SELECT w.value FROM vocabulary w WHERE w.param = ? AND w.kind = ? AND {inside}", (param.id, words.kind, *bounds))


def _words(criterion: Criterion) -> list[Words]:
    return [value for value in criterion.values if isinstance(value, Words)]


def _arms(of_param: Condition, criterion: Criterion) -> tuple[Condition, ...]:
    ranges = [each for value in criterion.values for each in (_since(value, "d") or _ranges(criterion, value, "d"))]
    return tuple(Condition(f"{of_param.sql} AND {each.sql}", (*of_param.params, *each.params)) for each in ranges)


def _ranges(criterion: Criterion, value: Value, alias: str) -> list[Condition]:
    """Write one value as alternatives."""
    if isinstance(value, DateRange):
        return [_date(value, alias)]
    if isinstance(value, Amount):
        return [Condition(*each) for each in alternatives(value, alias, ranged=criterion.param.ranged)]
    if isinstance(value, Near):
        return [Condition(*within(value, alias))]
    if isinstance(value, Combination):
        found = combined(criterion.param, value, alias, _hashes, lambda param, part: _ranges(Criterion(param, (part,)), part, alias))
        return [Condition(*each) for each in found]
    return [_string(criterion.modifier, value.text if isinstance(value, Text) else "", alias)]


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
    if isinstance(value, Hashes):
        return list(value.values)
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
        "ap": lambda: Condition(f"({low} < ? AND {high} > ?)", (value.high, value.low)),
    }[value.prefix]()


def _since(value: Value, alias: str) -> list[Condition]:
    """Write "not over by then" as two walks: what begins late enough, and what is long, which has an index by its end; none for other values."""
    if not isinstance(value, DateRange) or value.prefix not in ("gt", "ge", "ap"):
        return []
    matches = _date(value, alias)
    start = not_before(value)
    return [
        Condition(f"{alias}.low >= ? AND {matches.sql}", (start - LONG, *matches.params)),
        Condition(f"{alias}.low < {alias}.high - {LONG} AND {alias}.high > ? AND {alias}.low < ? AND {matches.sql}", (start, start - LONG, *matches.params)),
    ]


def not_before(value: DateRange) -> int:
    """Return the moment behind which every match of `gt`, `ge` or `ap` ends."""
    return value.high if value.prefix == "gt" else value.low


def _updated(value: DateRange, column: str) -> Condition:
    """Compare the time of the last update, a point; the range of the search value is half open."""
    return {
        "eq": lambda: Condition(f"({column} >= ? AND {column} < ?)", (value.low, value.high)),
        "ap": lambda: Condition(f"({column} >= ? AND {column} < ?)", (value.low, value.high)),
        "ne": lambda: Condition(f"NOT ({column} >= ? AND {column} < ?)", (value.low, value.high)),
        "gt": lambda: Condition(f"{column} >= ?", (value.high,)),
        "sa": lambda: Condition(f"{column} >= ?", (value.high,)),
        "lt": lambda: Condition(f"{column} < ?", (value.low,)),
        "eb": lambda: Condition(f"{column} < ?", (value.low,)),
        "ge": lambda: Condition(f"{column} >= ?", (value.low,)),
        "le": lambda: Condition(f"{column} < ?", (value.high,)),
    }[value.prefix]()
