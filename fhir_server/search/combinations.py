r"""Composite search values: `a$b`, each part as its own parameter would read it, all of them true of one group.

A dollar sign inside a part is written `\$`.
Spec: https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fhir_server.hashing import value_hash
from fhir_server.indexing.composite_rows import number_hash, short_hash
from fhir_server.search.params import SearchParam, for_type
from fhir_server.search.tree import Criterion
from fhir_server.search.values import Amount, Combination, Token, Value, split

MAX_COMBINATIONS: Final = 100
"""Most alternatives of one composite parameter."""

Sql = tuple[str, tuple[object, ...]]
PartSql = Callable[[SearchParam, Value], Sequence[Sql]]
"""The alternatives of one part, with columns named as those of its own index."""
Hashes = Callable[[SearchParam, Value], list[int]]


def combination(param: SearchParam, text: str, read: Callable[[SearchParam, str], Value | None]) -> Combination | None:
    """Read one value of a composite; none where a part is missing or is no value of its kind."""
    parts = split(text, "$")
    if len(parts) != len(param.components):
        return None
    values = [read(component, part) for component, part in zip(param.components, parts, strict=True)]
    return Combination(tuple(each for each in values if each is not None)) if None not in values else None


def implied(type_: str, criterion: Criterion) -> Criterion | None:
    """What a composite implies for the parameter of its first part: an index in page order, where the group itself is common.

    A code without a system has no such index.
    """
    firsts = tuple(dict.fromkeys(value.parts[0] for value in criterion.values if isinstance(value, Combination)))
    if not firsts or any(isinstance(first, Token) and first.system is None for first in firsts):
        return None
    param = for_type(type_).get(criterion.param.components[0].code)
    return Criterion(param, firsts) if param is not None and param.type == criterion.param.components[0].type else None


def combined(param: SearchParam, value: Combination, alias: str, hashes: Hashes, part: PartSql) -> list[Sql]:
    """Write what must hold of one row of the composite index, as alternatives."""
    first, *others = zip(param.components, value.parts, strict=True)
    key = _first(*first, alias, hashes)
    if len(others) == 1:
        return [_and(key, each) for each in _second(*others[0], alias, part)]
    lows, highs = (
        [_point(each, alias, column) for each in part(*other)] for other, column in zip(others, ("low", "high"), strict=True)
    )
    return [_and(key, low, high) for low in lows for high in highs]


def _and(*parts: Sql) -> Sql:
    return "(" + " AND ".join(sql for sql, _ in parts) + ")", tuple(each for _, params in parts for each in params)


def _first(param: SearchParam, value: Value, alias: str, hashes: Hashes) -> Sql:
    # A probe looks at the rows of one resource: without the plus sign SQLite would rather walk those of the first part.
    column = f"{'+' if alias == 't' else ''}{alias}.first"
    if isinstance(value, Token):
        return _token(column, value_hash(value.code or ""), f"{alias}.system", value.system)
    wanted = hashes(param, value)
    return f"{column} IN ({', '.join('?' * len(wanted))})", tuple(wanted)


def _second(param: SearchParam, value: Value, alias: str, part: PartSql) -> list[Sql]:
    if isinstance(value, Token):
        return [_token(f"{alias}.low", number_hash(value.code or ""), f"{alias}.code", value.system)]
    if isinstance(value, Amount) and value.system is None and value.code is not None:
        unit: Sql = f"{alias}.code = ?", (short_hash(value.code),)
        return [_and(each, unit) for each in part(param, value._replace(code=None))]
    if param.type == "string":
        return [_and((f"{alias}.low = 0", ()), each) for each in part(param, value)]
    return list(part(param, value))


def _token(column: str, hashed: float, system_column: str, system: str | None) -> Sql:
    return (f"{column} = ?", (hashed,)) if system is None else (f"{column} = ? AND {system_column} = ?", (hashed, short_hash(system)))


def _point(sql: Sql, alias: str, column: str) -> Sql:
    """Of two numbers, each is a point in a column of its own."""
    other = "high" if column == "low" else "low"
    return sql[0].replace(f"{alias}.{other}", f"{alias}.{column}"), sql[1]
