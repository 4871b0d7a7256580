"""Conditions joined by `and`, `or` and `not` as SQL: a probe of one row that is never NULL, or the index rows that find resources.

Spec: https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from typing import Final

from fhir_server.search.conditions import Condition, DriverRows, condition, driver_rows
from fhir_server.search.tree import ID, LAST_UPDATED, Chain, Criterion, Junction, Node
from fhir_server.type_ids import TYPE_IDS

_DRIVING: Final = frozenset({"", "exact", "above", "eq"})


def drives(criterion: Criterion) -> bool:
    """Whether the index rows of a criterion find what matches."""
    return criterion.missing is None and criterion.modifier in _DRIVING


def holds(node: Node, dialect: str) -> Condition:
    """Write the probe of a settled node over alias r of table resource."""
    if isinstance(node, Criterion):
        return condition(node, dialect)
    if isinstance(node, Chain):
        raise TypeError("A chain is answered before it is written.")
    parts = [holds(part, dialect) for part in node.parts]
    params = tuple(param for part in parts for param in part.params)
    if node.word == "not":
        # Not NOT: PostgreSQL would turn it into a join over everything that must not match.
        return Condition(f"({parts[0].sql}) IS NOT TRUE", params)
    return Condition("(" + f" {node.word.upper()} ".join(part.sql for part in parts) + ")", params)


def union_rows(junction: Junction, type_: str, dialect: str) -> DriverRows | None:
    """Write the index rows of alternatives, among which is every match and perhaps more; None where one of them has none."""
    if junction.word != "or":
        return None
    found = [_rows(part, type_, dialect) for part in junction.parts]
    parts = [rows for rows in found if rows is not None]
    if len(parts) < len(found):
        return None
    table = " UNION ALL ".join(f"SELECT d.rid FROM {rows.table} d WHERE {rows.where}" for rows in parts)
    params = tuple(param for rows in parts for param in rows.params)
    return DriverRows(f"({table})", "1 = 1", params, ordered=False, bounded=all(rows.bounded for rows in parts))


def _rows(node: Node, type_: str, dialect: str) -> DriverRows | None:
    if isinstance(node, Chain):
        return None
    if isinstance(node, Junction):
        if node.word != "and":
            return union_rows(node, type_, dialect)
        found = [rows for part in node.parts if (rows := _rows(part, type_, dialect)) is not None]
        return min(found, key=lambda rows: not rows.bounded, default=None)
    if node.param is LAST_UPDATED or not drives(node):
        return None
    if node.param is ID:
        listed = condition(node, dialect)
        return DriverRows("resource", f"d.type_id = ? AND {listed.sql.replace('r.fhir_id', 'd.fhir_id')}", (TYPE_IDS[type_], *listed.params), ordered=False, bounded=True)
    return driver_rows(node, dialect)
