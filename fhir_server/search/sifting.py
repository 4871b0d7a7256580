"""A page of a chained search where neither end is small: matches of the rest are read in page order and their neighbours looked at.

Where matches are frequent a page is soon full, however many resources there are. Where they are not, the chains are answered hop
by hop after all; what that refuses is sifted on, up to a limit.
Spec: https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.search.cursor import Position
from fhir_server.search.hops import TOO_MANY, linked_ids, settled
from fhir_server.search.streams import Found, rid_of
from fhir_server.search.tree import Query
from fhir_server.store import Store

FIRST: Final = 64
"""Candidates of the first batch."""
_MOST: Final = 1_000
TRIED: Final = 2_000
"""So many candidates are looked at before the chains are answered hop by hop."""
MAX_SIFTED: Final = 50_000
"""Most candidates of one page."""

Fetch = Callable[[Query, Position, int], list[Found]]
"""Finds the next matches of a query without chains."""


def sifted(session: Session, store: Store, scope: Scope, query: Query, start: Position, limit: int, fetch: Fetch) -> list[Found]:
    """Find the next matches of a query whose chains are not answered yet, in order; those before a position that says so, the nearest first.

    Raises:
        Invalid: Its page is not full after MAX_SIFTED candidates, and both ends of a hop have too many.
    """
    found: list[Found] = []
    position, size, seen, asked = start, FIRST, 0, False
    while True:
        batch = fetch(query, position, size)
        passing = _passing(session, store, scope, query, [rid_of(row) for row in batch])
        found += [row for row in batch if rid_of(row) in passing]
        seen += len(batch)
        if len(found) >= limit or len(batch) < size:
            return found[:limit]
        if seen >= TRIED and not asked:
            asked = True
            if (answered := _answered(session, store, scope, query)) is not None:
                return fetch(answered, start, limit)
        if seen >= MAX_SIFTED:
            raise Invalid(TOO_MANY, code="too-costly")
        position, size = Position(batch[-1], start.snapshot, start.back), _following(size, seen, len(found), limit)


def _following(size: int, seen: int, found: int, limit: int) -> int:
    """Choose the size of the next batch: a quarter more than what is still missing needs, if matches stay as frequent."""
    needed = (limit - found) * seen * 5 // (found * 4) if found else size * 2
    return min(max(needed, FIRST), size * 8, _MOST)


def _answered(session: Session, store: Store, scope: Scope, query: Query) -> Query | None:
    try:
        return settled(session, store, scope, query)
    except Invalid:
        return None


def _passing(session: Session, store: Store, scope: Scope, query: Query, rids: Sequence[int]) -> frozenset[int]:
    """Keep the candidates for which every chain holds."""
    left = list(rids)
    for chain in query.chains:
        left = linked_ids(session, store, scope, query.type, chain, left)
    return frozenset(left)
