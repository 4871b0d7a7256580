"""_include and _revinclude: neighbours of a page, under the same row filter as everything else.

Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.hashing import value_hash
from fhir_server.indexing.extraction import extract
from fhir_server.rows import CHUNK, Row, by_references, by_rids
from fhir_server.search.tree import Include, Query
from fhir_server.store import Store, Stored, require
from fhir_server.type_ids import TYPE_IDS
from fhir_server.visible import visible

MAX_INCLUDED: Final = 1000


def require_includes(store: Store, scope: Scope, query: Query) -> None:
    """Refuse to follow references that are hidden from this reader."""
    for include in [*query.includes, *query.revincludes]:
        require(store, scope, include.source)
        if not store.access.searchable(scope, include.source, include.param.paths):
            raise Forbidden(f"{include.source}:{include.param.code} is hidden from you.")


def included(
    session: Session, store: Store, scope: Scope, query: Query, rows: Sequence[Row], page: Sequence[Stored]
) -> list[tuple[Row, Stored]]:
    """Find what a page includes, without what the page has itself."""
    there = {row.rid for row in rows}
    rids: dict[int, None] = {}
    if query.includes:
        rids.update(dict.fromkeys(_targets(session, store, scope, query.includes, page)))
    for include in query.revincludes:
        rids.update(dict.fromkeys(_sources(session, store, scope, include, rows)))
    wanted = [rid for rid in rids if rid not in there]
    if len(wanted) > MAX_INCLUDED:
        raise Invalid(f"This page includes more than {MAX_INCLUDED} resources; ask for a smaller _count.", code="too-costly")
    found = by_rids(session, wanted)
    return [(found[rid], visible(store, scope, found[rid])) for rid in wanted if rid in found]


def _targets(
    session: Session, store: Store, scope: Scope, includes: Sequence[Include], page: Sequence[Stored]
) -> list[int]:
    """Follow references out of the page, as the reader sees it: a hidden reference leads nowhere."""
    wanted: dict[str, dict[str, None]] = {}
    params = {include.param.id: include.target for include in includes}
    for stored in page:
        values = extract(stored.type, msgspec.json.decode(stored.body), base=store.base, custom=store.parameters.now.extractor(stored.type))
        for param, type_, id_, _ in values.references:
            if id_ and param in params and params[param] in ("", type_) and type_ in TYPE_IDS:
                wanted.setdefault(type_, {})[id_] = None
    rids: list[int] = []
    for type_, ids in wanted.items():
        rids += by_references(session, type_, list(ids), store.access.row_filter(scope, type_))
    return rids


def _sources(session: Session, store: Store, scope: Scope, include: Include, rows: Sequence[Row]) -> list[int]:
    """Follow references into the page."""
    row_filter = store.access.row_filter(scope, include.source)
    condition = row_filter.sql.replace("{r}", "r")
    hashes = [value_hash(row.reference) for row in rows]
    rids: list[int] = []
    for start in range(0, len(hashes), CHUNK):
        part = hashes[start : start + CHUNK]
        sql = (
            "SELECT d.rid FROM idx_reference d CROSS JOIN resource r WHERE r.rid = d.rid AND r.deleted = 0 "
            f"AND d.param = ? AND d.value IN ({', '.join('?' * len(part))}) AND ({condition}) ORDER BY d.rank, d.rid LIMIT ?"
        )
        found = session.all(sql, (include.param.id, *part, *row_filter.params, MAX_INCLUDED + 1))
        rids += [int(row[0]) for row in found]
    return rids
