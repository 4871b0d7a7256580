"""FHIR search interaction on a type.

Spec: https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlencode

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, Issue
from fhir_server.auditing import record, refusals_audited
from fhir_server.rows import Row, by_rids
from fhir_server.search.cursor import Position, seal, unseal
from fhir_server.search.hops import permitted_chain, permitted_junction, settled
from fhir_server.search.including import included, require_includes
from fhir_server.search.parsing import parsed_now
from fhir_server.search.planner import Plan, plan
from fhir_server.search.query import CURSOR
from fhir_server.search.registry import Outdated
from fhir_server.search.tree import Query
from fhir_server.snapshot import last_number_and_parameters
from fhir_server.store import Page, Store, Stored, acting, require
from fhir_server.subsetting import subset
from fhir_server.visible import visible


class _Found(NamedTuple):
    rows: list[Row]
    page: list[Stored]
    neighbours: list[tuple[Row, Stored]]
    total: int | None
    position: Position | None


def permitted_query(store: Store, scope: Scope, type_: str, query: str, *, lenient: bool = False) -> Query:
    """Parse a search and refuse what this subject may not ask."""
    require(store, scope, type_)
    parsed = parsed_now(store, type_, query, lenient=lenient)
    paths = parsed.paths()
    if paths and not store.access.searchable(scope, type_, paths):
        raise Forbidden("This search uses elements that are hidden from you.")
    parsed.chains = [permitted_chain(store, scope, type_, chain) for chain in parsed.chains]
    parsed.junctions = [permitted_junction(store, scope, type_, junction) for junction in parsed.junctions]
    require_includes(store, scope, parsed)
    return parsed


def search(store: Store, scope: Scope, type_: str, query: str, *, lenient: bool = False) -> Page:
    """Return one page, after the audit record that lists what is on it is durable."""
    [page] = searches(store, scope, [(type_, query)], lenient=lenient)
    return page


def searches(store: Store, scope: Scope, asked: Iterable[tuple[str, str]], *, lenient: bool = False) -> list[Page]:
    """Return the first page of each search, by type and query, after the audit records of all of them are durable, with one wait."""
    scope = acting(scope, "search")
    done = [_searched(store, scope, type_, query, lenient=lenient) for type_, query in asked]
    store.audit.access(*(said for _, said in done))
    return [page for page, _ in done]


def _searched(store: Store, scope: Scope, type_: str, query: str, *, lenient: bool) -> tuple[Page, AuditRecord]:
    """Search; the page may be shown when its record is durable."""
    with refusals_audited(store, scope, type_, query):
        while True:
            try:
                return _once(store, scope, type_, query, lenient=lenient)
            except Outdated:
                store.parameters.refresh(store.db)


def _once(store: Store, scope: Scope, type_: str, query: str, *, lenient: bool) -> tuple[Page, AuditRecord]:
    parsed = permitted_query(store, scope, type_, query, lenient=lenient)
    said = urlencode(parsed.pairs)
    start = unseal(store.secret, scope.subject, f"{type_}?{said}", parsed.cursor) if parsed.cursor else None
    with store.db.read(snapshot=True) as session:
        found = _find(session, store, scope, parsed, start)
    link = None
    if found.position is not None:
        cursor = seal(store.secret, scope.subject, f"{type_}?{said}", found.position)
        link = urlencode([*parsed.pairs, (CURSOR, cursor)])
    warnings = tuple(
        Issue("warning", "not-supported", f"Parameter {name[:64]!r} is not supported and was ignored.")
        for name in parsed.ignored
    )
    of_matches, of_included = parsed.subset, parsed.subset._replace(elements=frozenset())
    entries = tuple(subset(stored, of_matches) for stored in found.page)
    neighbours = tuple(subset(stored, of_included) for _, stored in found.neighbours)
    return Page(entries, neighbours, found.total, link, said, warnings), _record(scope, type_, query, found)


def _record(scope: Scope, type_: str, query: str, found: _Found) -> AuditRecord:
    rows = [*found.rows, *(row for row, _ in found.neighbours)]
    targets = [f"{row.reference}/_history/{row.version}" for row in rows] or [type_]
    return record(scope, targets, (row.patient for row in rows), query=f"{type_}?{query}")


def _find(session: Session, store: Store, scope: Scope, query: Query, start: Position | None) -> _Found:
    last, known = last_number_and_parameters(session)
    if known > query.known:
        raise Outdated
    plain = settled(session, store, scope, query)
    planned = plan(session, plain, store.access.row_filter(scope, query.type))
    counting = query.summary == "count" or query.count == 0
    total = _count(session, planned) if counting or query.total == "accurate" else None
    if counting:
        return _Found([], [], [], total, None)
    snapshot = start.snapshot if start else last
    sql, params = planned.page(start.after if start else None, snapshot, query.count + 1)
    keys = session.all(sql, params)
    more, keys = len(keys) > query.count, keys[: query.count]
    by_rid = by_rids(session, [int(key[-1]) for key in keys])
    rows = [by_rid[int(key[-1])] for key in keys if int(key[-1]) in by_rid]
    page = [visible(store, scope, row) for row in rows]
    neighbours = included(session, store, scope, query, rows, page)
    return _Found(rows, page, neighbours, total, Position(tuple(keys[-1]), snapshot) if more else None)


def _count(session: Session, planned: Plan) -> int:
    found = session.one(*planned.count())
    return int(found[0]) if found else 0
