"""_include and _revinclude: neighbours of a page, and their neighbours, under the same row filter as everything else.

A round follows the references of what the round before brought; what is on the page or was included is not included again,
so circles end. References out of a resource are those that this reader sees in it.
Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.rows import Row
from fhir_server.search.include_sources import sources
from fhir_server.search.include_targets import targets
from fhir_server.search.tree import Include, Query
from fhir_server.store import Store, Stored, require
from fhir_server.visible import all_visible

MAX_INCLUDED: Final = 1000

Shown = list[tuple[Row, Stored]]


def require_includes(store: Store, scope: Scope, query: Query) -> None:
    """Refuse to follow references that are hidden from this reader; `*` follows those that are not."""
    for include in [*query.includes, *query.revincludes]:
        if include.source:
            require(store, scope, include.source)
        if include.param is not None and not store.access.searchable(scope, include.source, include.param.paths):
            raise Forbidden(f"{include.source}:{include.param.code} is hidden from you.")


def included(
    session: Session, store: Store, scope: Scope, query: Query, rows: Sequence[Row], page: Sequence[Stored]
) -> Shown:
    """Find what a page includes, without what the page has itself."""
    known = {(row.rid, row.version) for row in rows}
    found: Shown = []
    edge = list(zip(rows, page, strict=True))
    forward, back = query.includes, query.revincludes
    while edge and (forward or back):
        fresh: dict[tuple[int, int], Row] = {}
        for row in [*targets(session, store, scope, forward, edge), *sources(session, store, scope, back, edge)]:
            if (row.rid, row.version) not in known and not row.deleted:
                fresh.setdefault((row.rid, row.version), row)
        known.update(fresh)
        edge = list(zip(fresh.values(), all_visible(store, scope, fresh.values()), strict=True))
        found += edge
        if len(found) > MAX_INCLUDED:
            raise Invalid(f"This page includes more than {MAX_INCLUDED} resources; ask for a smaller _count.", code="too-costly")
        forward, back = _iterated(forward), _iterated(back)
    return found


def _iterated(includes: Sequence[Include]) -> list[Include]:
    return [include for include in includes if include.iterate]
