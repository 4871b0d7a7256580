r"""Composite search values: `a$b`, each part as its own parameter would read it, all of them true of one group.

A dollar sign inside a part is written `\$`.
Spec: https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fhir_server.hashing import value_hash
from fhir_server.indexing.composite_rows import system_hash
from fhir_server.search.params import SearchParam
from fhir_server.search.values import Combination, Token, Value, split

MAX_COMBINATIONS: Final = 100
"""Most alternatives of one composite parameter."""

Sql = tuple[str, tuple[object, ...]]
PartSql = Callable[[SearchParam, Value], Sql]
"""The comparison of one part with columns named as those of its own index."""


def combination(param: SearchParam, text: str, read: Callable[[SearchParam, str], Value | None]) -> Combination | None:
    """Read one value of a composite; none where a part is missing or is no value of its kind."""
    parts = split(text, "$")
    if len(parts) != len(param.components):
        return None
    values = [read(component, part) for component, part in zip(param.components, parts, strict=True)]
    return Combination(tuple(each for each in values if each is not None)) if None not in values else None


def combined(param: SearchParam, value: Combination, alias: str, hashes: Callable[[SearchParam, Value], list[int]], part: PartSql) -> Sql:
    """Write what must hold of one row of the composite index."""
    first, *others = zip(param.components, value.parts, strict=True)
    found = [_first(*first, alias, hashes)]
    if len(others) == 2:
        found += [_point(part(*each), alias, column) for each, column in zip(others, ("low", "high"), strict=True)]
    else:
        found.append(_second(*others[0], alias, part))
    return "(" + " AND ".join(sql for sql, _ in found) + ")", tuple(each for _, params in found for each in params)


def _first(param: SearchParam, value: Value, alias: str, hashes: Callable[[SearchParam, Value], list[int]]) -> Sql:
    if isinstance(value, Token):
        return _token(value, f"{alias}.first", f"{alias}.system")
    wanted = hashes(param, value)
    return f"{alias}.first IN ({', '.join('?' * len(wanted))})", tuple(wanted)


def _second(param: SearchParam, value: Value, alias: str, part: PartSql) -> Sql:
    point = f"{alias}.low = 0 AND {alias}.high = 0 AND "
    if isinstance(value, Token):
        sql, params = _token(value, f"{alias}.unit", f"{alias}.code")
        return point + sql, params
    sql, params = part(param, value)
    return (f"{point}{alias}.unit = 0 AND {alias}.code = 0 AND {sql}" if param.type == "string" else sql), params


def _token(value: Token, code: str, system: str) -> Sql:
    hashed = value_hash(value.code or "")
    return (f"{code} = ?", (hashed,)) if value.system is None else (f"{code} = ? AND {system} = ?", (hashed, system_hash(value.system)))


def _point(sql: Sql, alias: str, column: str) -> Sql:
    """Of two numbers, each is a point in a column of its own."""
    other = "high" if column == "low" else "low"
    return sql[0].replace(f"{alias}.{other}", f"{alias}.{column}"), sql[1]
