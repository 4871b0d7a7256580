"""FHIR history interaction on an instance, a type or the whole system.

A version is listed for who may see both its own labels and the current ones. The total is that of an instance: to count the
versions of a type or of everything would read them all.
Spec: https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, NotFound
from fhir_server.auditing import record, refusals_audited
from fhir_server.history_query import HistoryQuery, parse_history
from fhir_server.indexing.dates import OPEN_HIGH
from fhir_server.rows import Row, count_versions, versions
from fhir_server.search.cursor import Position, seal, unseal
from fhir_server.search.query import CURSOR
from fhir_server.store import Page, Store, acting, require
from fhir_server.type_filters import readable
from fhir_server.type_ids import TYPE_IDS
from fhir_server.visible import all_visible

_CURRENT_IN: Final = (
    f"v.updated < ? AND COALESCE((SELECT n.updated FROM version n WHERE n.rid = v.rid AND n.version = v.version + 1), {OPEN_HIGH}) > ?"
)
"""Current at some point of a period: stored before its end, and followed by no other version up to its beginning."""


def history(store: Store, scope: Scope, type_: str | None = None, id_: str | None = None, query: str = "") -> Page:
    """Return one page of versions, newest first, after the audit record of it is durable."""
    scope = acting(scope, "history")
    where = "/".join(part for part in (type_, id_) if part)
    with refusals_audited(store, scope, where, query):
        if type_ is not None:
            require(store, scope, type_)
        asked = parse_history(query)
        place = f"{where}/_history?{asked.said}"
        start = unseal(store.secret, scope.subject, place, asked.cursor) if asked.cursor else None
        found, total = _find(store, scope, type_, id_, asked, start)
        if id_ is not None and not found and start is None and asked.since is None and asked.at is None:
            raise NotFound
        more, rows = len(found) > asked.count, found[: asked.count]
        entries = tuple(all_visible(store, scope, rows))
    targets = [f"{row.reference}/_history/{row.version}" for row in rows]
    store.audit.access(record(scope, targets or [where], (row.patient for row in rows), query=f"{where}/_history?{query}"))
    link = None
    if more:
        last = rows[-1]
        position = Position((last.updated, last.rid, last.version), 0)
        cursor = seal(store.secret, scope.subject, place, position)
        link = "&".join(part for part in (asked.said, urlencode([(CURSOR, cursor)])) if part)
    return Page(entries, (), total, link, asked.said)


def _find(
    store: Store, scope: Scope, type_: str | None, id_: str | None, asked: HistoryQuery, start: Position | None
) -> tuple[list[Row], int | None]:
    seen = readable(store, scope, [type_] if type_ else TYPE_IDS, version_labels=True)
    if seen is None:
        raise Forbidden
    where, params = seen.sql, list(seen.params)
    if id_ is not None:
        where, params = f"r.fhir_id = ? AND {where}", [id_, *params]
    if asked.since is not None:
        where, params = f"v.updated >= ? AND {where}", [asked.since, *params]
    if asked.at is not None:
        where, params = f"{_CURRENT_IN} AND {where}", [asked.at[1], asked.at[0], *params]
    with store.db.read(snapshot=True) as session:
        total = count_versions(session, where, params) if id_ is not None else None
        if start is not None:
            where, params = f"(v.updated, v.rid, v.version) < (?, ?, ?) AND {where}", [*start.after, *params]
        return versions(session, where, params, asked.count + 1, of_one=id_ is not None), total
