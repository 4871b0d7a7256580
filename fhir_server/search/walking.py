"""A page in the order of one index: what no criterion makes small is read off in order, and stops early.

A resource stands where its first value in the order stands; what has no value follows in a place of its own, by its rank. Pages
of one search stay with the way it began.
Spec: https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from typing import Final

from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.db import Session
from fhir_server.search.conditions import Condition
from fhir_server.search.cursor import Position
from fhir_server.search.ordering import COLUMNS, Key, is_rank
from fhir_server.search.planner import probes, selective
from fhir_server.search.plans import Plan
from fhir_server.search.streams import Stream
from fhir_server.search.tree import LAST_UPDATED, Query

_WITH_VALUE: Final = 10
_WITHOUT: Final = 11
_REST: Final = {"idx_date": ("high",), "idx_string": ("exact",), "idx_quantity": ("high", "unit", "code")}
"""Columns that tell rows of one value apart."""


def walks(session: Session, query: Query, row_filter: RowFilter, start: Position, *, ranked: bool) -> bool:
    """Whether a query is answered in the order of an index: one key, and nothing that leaves only a few."""
    if len(query.sort) != 1 or query.sort[0].param.type not in COLUMNS or query.sort[0].param is LAST_UPDATED:
        return False
    if ranked and is_rank(query.type, query.sort[0]):
        return False
    return start.after[0] in (_WITH_VALUE, _WITHOUT) if start.after else not selective(session, query, row_filter)


def walked(dialect: str, query: Query, row_filter: RowFilter) -> list[Stream]:
    """Plan the two walks."""
    key = query.sort[0]
    table, column = COLUMNS[key.param.type]
    rest = _REST[table]
    these, those = (", ".join(f"{alias}.{name}" for name in rest) for alias in "ed")
    earlier = f"e.{column} {'>' if key.descending else '<'} d.{column} OR (e.{column} = d.{column} AND ({these}) < ({those}))"
    where = probes(dialect, query, row_filter, None)
    first = (
        Condition("d.param = ?", (key.param.id,)),
        Condition("r.rid = d.rid", ()),
        *where,
        Condition(f"NOT EXISTS (SELECT 1 FROM {table} e WHERE e.rid = d.rid AND e.param = d.param AND ({earlier}))", ()),
    )
    source = Condition(f"{table} d CROSS JOIN resource r", ())
    valued = Plan(source, first, (Key(f"d.{column}", (), key.descending),), "d.rid", key.param.code)
    none = Condition(f"NOT EXISTS (SELECT 1 FROM {table} e WHERE e.rid = r.rid AND e.param = ?)", (key.param.id,))
    without = Plan(Condition("resource r", ()), (*where, none), (Key("r.rank", (), descending=False),), "r.rid", "type")
    return [Stream(_WITH_VALUE, valued), Stream(_WITHOUT, without)]
