"""Several ordered searches as one: of types, of the ways into a compartment, of what has a date and what has none.

Every stream stops early by itself; the streams of one place are merged by their keys, and places follow each other. A resource
that several streams find is on one page, once: its keys are its own.
Spec: https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.indexing.rows import UNDATED
from fhir_server.search.conditions import Condition
from fhir_server.search.cursor import Position
from fhir_server.search.ordering import Key, is_rank, sort_keys
from fhir_server.search.planner import plan
from fhir_server.search.plans import Plan
from fhir_server.search.tree import Query

Found = tuple[object, ...]
"""Place, sort keys, rid."""


class Stream(NamedTuple):
    """A search, and its place among those that are not merged with it."""

    place: int
    plan: Plan


def streams_of(session: Session, query: Query, row_filter: RowFilter, *, ranked: bool) -> list[Stream]:
    """Plan a query; oldest first, what has no date is a stream of its own, so that both stop early."""
    first = query.sort[0] if query.sort else None
    if first is None or first.descending or not ranked or not is_rank(query.type, first):
        return [Stream(0, plan(session, query, row_filter, keys=sort_keys(query, ranked=ranked)))]
    rest = sort_keys(query)[1:]
    dated, undated = (Condition(f"r.rank {sign} ?", (UNDATED,)) for sign in ("<", "="))
    oldest = (Key("r.rank", (), descending=True), *rest)
    return [
        Stream(0, plan(session, query, row_filter, keys=oldest, only=dated)),
        Stream(1, plan(session, query, row_filter, keys=oldest, only=undated)),
    ]


def merged(session: Session, streams: Iterable[Stream], start: Position, limit: int) -> list[Found]:
    """Find the next matches, in order; those before a position that says so, the nearest first.

    Raises:
        Invalid: The position is none of this order.
    """
    found: list[Found] = []
    after = start.after or None
    for place, group in groupby(sorted(streams, key=_place_of, reverse=start.back), _place_of):
        plans = [stream.plan.backwards() if start.back else stream.plan for stream in group]
        if after is not None and not _fits(after, plans[0]):
            raise Invalid("This page link was changed, or belongs to another query.")
        passed = after is not None and (place > _place(after) if start.back else place < _place(after))
        if len(found) >= limit or passed:
            continue
        inside = after[1:] if after is not None and place == _place(after) else None
        rows: dict[int, Found] = {}
        for each in plans:
            rows.update((int(str(row[-1])), (place, *row)) for row in each.rows(session, inside, start.snapshot, limit - len(found)))
        found += ordered(rows.values(), [False, *each_direction(plans[0])])[: limit - len(found)]
    return found


def _place_of(stream: Stream) -> int:
    return stream.place


def total(session: Session, plans: Sequence[Plan]) -> int:
    """Count what any of some searches finds, each resource once."""
    if len(plans) == 1:
        sql, params = plans[0].count()
    else:
        parts = [each.rids() for each in plans]
        sql = f"SELECT count(*) FROM ({' UNION '.join(text for text, _ in parts)}) x"
        params = [param for _, given in parts for param in given]
    row = session.one(sql, params)
    return int(row[0]) if row else 0


def each_direction(planned: Plan) -> list[bool]:
    """List whether each key descends, that of the rid last: it goes with the key before it."""
    directions = [key.descending for key in planned.keys]
    return [*directions, directions[-1]]


def ordered(rows: Iterable[Found], descending: Sequence[bool]) -> list[Found]:
    """Sort rows by their columns, each in its direction."""
    found = list(rows)
    for column in range(len(descending) - 1, -1, -1):
        found.sort(key=lambda row: row[column], reverse=descending[column])  # type: ignore[arg-type,return-value]
    return found


def rid_of(found: Found) -> int:
    """Return the internal id, the last column."""
    return int(str(found[-1]))


def _place(after: Sequence[object]) -> int:
    return after[0] if isinstance(after[0], int) else 0


def _fits(after: Sequence[object], planned: Plan) -> bool:
    return len(after) == len(planned.keys) + 2
