"""A search, wherever it looks: on a type, on the system, in a compartment; permitted, found, audited, paged.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from urllib.parse import urlencode

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, Issue
from fhir_server.auditing import record
from fhir_server.rows import Row, by_rids, types_in_use
from fhir_server.search.cursor import Position, seal, unseal
from fhir_server.search.hops import permitted_chain, permitted_junction, settled
from fhir_server.search.including import included, require_includes
from fhir_server.search.lists import require_lists
from fhir_server.search.ordering import has_column, is_rank
from fhir_server.search.planner import plan
from fhir_server.search.query import CURSOR
from fhir_server.search.registry import Outdated
from fhir_server.search.sifting import sifted
from fhir_server.search.streams import Found, merged, rid_of, streams_of, total
from fhir_server.search.tree import LAST_UPDATED, Criterion, Query
from fhir_server.search.valued import valued
from fhir_server.search.walking import walked, walks
from fhir_server.snapshot import last_number_and_parameters
from fhir_server.store import Page, Store, Stored
from fhir_server.subsetting import subset
from fhir_server.visible import visible

_FEW: Final = 4
"""More types than this are looked at first, whether there is anything of them."""


class Asked(NamedTuple):
    """A search that its reader may ask."""

    address: str
    """Below the base: "Observation", "" or "Patient/1/*"."""
    queries: Sequence[Query]
    """One for each type, all of them said alike; at least one."""
    ways: Mapping[str, Sequence[Criterion]] | None = None
    """Ways into a compartment by type: one of them must hold."""
    patients: tuple[str, ...] = ()
    """Whom the compartment concerns."""

    @property
    def lead(self) -> Query:
        """What all queries have in common."""
        return self.queries[0]


class _Page(NamedTuple):
    rows: list[Row]
    page: list[Stored]
    neighbours: list[tuple[Row, Stored]]
    total: int | None
    following: Position | None = None
    previous: Position | None = None


def permitted(store: Store, scope: Scope, query: Query) -> Query:
    """Refuse what this subject may not ask of a type, and take out the chains that lead nowhere for this subject."""
    paths = query.paths()
    if paths and not store.access.searchable(scope, query.type, paths):
        raise Forbidden("This search uses elements that are hidden from you.")
    query.chains = [permitted_chain(store, scope, query.type, chain) for chain in query.chains]
    query.junctions = [permitted_junction(store, scope, query.type, junction) for junction in query.junctions]
    require_includes(store, scope, query)
    require_lists(store, scope, query)
    return query


def answer(store: Store, scope: Scope, ask: Callable[[], Asked], raw: str) -> tuple[Page, AuditRecord]:
    """Search; the page may be shown when its record is durable. It is asked anew where the search parameters have changed meanwhile."""
    while True:
        try:
            return _answer(store, scope, ask(), raw)
        except Outdated:
            store.parameters.refresh(store.db)


def _answer(store: Store, scope: Scope, asked: Asked, raw: str) -> tuple[Page, AuditRecord]:
    lead = asked.lead
    said = urlencode(lead.pairs)
    bound = f"{asked.address}?{said}"
    start = unseal(store.secret, scope.subject, bound, lead.cursor) if lead.cursor else None
    with store.db.read(snapshot=True) as session:
        found = _find(session, store, scope, asked, start)
    links = [
        position and urlencode([*lead.pairs, (CURSOR, seal(store.secret, scope.subject, bound, position))])
        for position in (found.following, found.previous)
    ]
    warnings = tuple(
        Issue("warning", "not-supported", f"Parameter {name[:64]!r} is not supported and was ignored.") for name in lead.ignored
    )
    subsets = {query.type: query.subset for query in asked.queries}
    entries = tuple(subset(stored, subsets[stored.type]) for stored in found.page)
    of_included = lead.subset._replace(elements=frozenset())
    neighbours = tuple(subset(stored, of_included) for _, stored in found.neighbours)
    return Page(entries, neighbours, found.total, links[0], said, warnings, links[1]), _record(scope, asked, raw, found)


def _record(scope: Scope, asked: Asked, raw: str, found: _Page) -> AuditRecord:
    rows = [*found.rows, *(row for row, _ in found.neighbours)]
    targets = [f"{row.reference}/_history/{row.version}" for row in rows] or [asked.address]
    return record(scope, targets, [*asked.patients, *(row.patient for row in rows)], query=f"{asked.address}?{raw}")


def _find(session: Session, store: Store, scope: Scope, asked: Asked, start: Position | None) -> _Page:
    lead = asked.lead
    last, known = last_number_and_parameters(session)
    if known > min(query.known for query in asked.queries):
        raise Outdated
    in_use = types_in_use(session) if len(asked.queries) > _FEW else frozenset(query.type for query in asked.queries)
    counting = lead.summary == "count" or lead.count == 0
    sifting = not counting and lead.total == "none" and _sifts(asked)
    parts = [_parts(session, store, scope, asked, query, sifting=sifting) for query in asked.queries if query.type in in_use]
    counted = sum(_count(session, store, scope, of_type) for of_type in parts if of_type) if counting or lead.total != "none" else None
    if counting:
        return _Page([], [], [], counted)
    snapshot = start.snapshot if start else last
    here = Position(start.after if start else (), snapshot, start.back if start else False)
    found = _next(session, store, scope, asked, [part for of_type in parts for part in of_type], here)
    keys = found[: lead.count][:: -1 if here.back else 1]
    by_rid = by_rids(session, [rid_of(key) for key in keys])
    rows = [by_rid[rid_of(key)] for key in keys if rid_of(key) in by_rid]
    page = [visible(store, scope, row) for row in rows]
    neighbours = included(session, store, scope, lead, rows, page)
    return _Page(rows, page, neighbours, counted, *_around(here, keys, more=len(found) > lead.count))


def _around(here: Position, keys: Sequence[Found], *, more: bool) -> tuple[Position | None, Position | None]:
    """Return where the pages after and before this one are."""
    if not keys:
        return None, None
    after, before = Position(keys[-1], here.snapshot), Position(keys[0], here.snapshot, back=True)
    if here.back:
        return after, before if more else None
    return after if more else None, before if here.after else None


def _parts(session: Session, store: Store, scope: Scope, asked: Asked, query: Query, *, sifting: bool) -> list[Query]:
    """Settle the search of one type: one query, or one for each way into the compartment."""
    ways = None if asked.ways is None else asked.ways.get(query.type, ())
    if ways is not None and not ways:
        return []
    plain = settled(session, store, scope, query, sifting=sifting)
    return [plain] if ways is None else [replace(plain, criteria=[*plain.criteria, way]) for way in ways]


def _count(session: Session, store: Store, scope: Scope, parts: Sequence[Query]) -> int:
    return total(session, [plan(session, replace(part, sort=[]), store.access.row_filter(scope, part.type), whole=True, counted=True) for part in parts])


def _next(session: Session, store: Store, scope: Scope, asked: Asked, parts: Sequence[Query], start: Position) -> list[Found]:
    """Find the matches behind a position, one more than a page has."""
    limit = asked.lead.count + 1
    if not all(has_column(key.param) for query in asked.queries for key in query.sort):
        return valued(session, store, scope, parts, start, limit)
    if len(parts) == 1 and parts[0].chains:
        return sifted(session, store, scope, parts[0], start, limit, lambda part, here, most: _of_streams(session, store, scope, asked, [part], here, most))
    return _of_streams(session, store, scope, asked, parts, start, limit)


def _of_streams(session: Session, store: Store, scope: Scope, asked: Asked, parts: Sequence[Query], start: Position, limit: int) -> list[Found]:
    ranked = _ranked(asked)
    row_filter = store.access.row_filter(scope, parts[0].type) if len(parts) == 1 else None
    if row_filter is not None and walks(session, parts[0], row_filter, start, ranked=ranked):
        return merged(session, walked(session.dialect, parts[0], row_filter), start, limit)
    streams = [
        stream for part in parts for stream in streams_of(session, part, store.access.row_filter(scope, part.type), ranked=ranked)
    ]
    return merged(session, streams, start, limit)


def _sifts(asked: Asked) -> bool:
    """Whether a page of a chained search may be read off in order, its chains looked at as it goes: in one type, by one key at most."""
    return len(asked.queries) == 1 and asked.ways is None and len(asked.lead.sort) < 2 and all(has_column(key.param) for key in asked.lead.sort)


def _ranked(asked: Asked) -> bool:
    """Whether the ranks of the types order as their dates do, so that they can be merged."""
    dates = [(query.type, key) for query in asked.queries for key in query.sort if key.param.type == "date" and key.param is not LAST_UPDATED]
    return len(asked.queries) == 1 or all(is_rank(type_, key) for type_, key in dates)
