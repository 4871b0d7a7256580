"""Every current resource of some types, for exports and rebuilds: rows filtered like everywhere else.

The audit record with the patients concerned is durable before the first resource leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from chartloop.kernel.access.scope import Scope
from fhir_server.auditing import record, refusals_audited
from fhir_server.rows import by_rids
from fhir_server.store import Store, Stored, acting, require
from fhir_server.type_ids import TYPE_IDS
from fhir_server.visible import visible

EXPORT: Final = "export"
"""Interaction of the record: what leaves here leaves in bulk."""

_PART: Final = 500


def stream(store: Store, scope: Scope, types: Sequence[str]) -> Iterator[Stored]:
    """Yield resources type by type, in the order of their ids."""
    scope = acting(scope, "search")
    with refusals_audited(store, scope, ",".join(types)):
        for type_ in types:
            require(store, scope, type_)
    store.audit.access(replace(record(scope, types, _patients(store, scope, types), query="stream"), interaction=EXPORT))
    for type_ in types:
        yield from _of_type(store, scope, type_)


def _patients(store: Store, scope: Scope, types: Sequence[str]) -> set[str]:
    patients: set[str] = set()
    for type_ in types:
        row_filter = store.access.row_filter(scope, type_)
        condition = row_filter.sql.replace("{r}", "r")
        sql = f"SELECT DISTINCT r.patient FROM resource r WHERE r.type_id = ? AND r.deleted = 0 AND ({condition})"
        with store.db.read() as session:
            patients.update(str(row[0]) for row in session.all(sql, (TYPE_IDS[type_], *row_filter.params)))
    return patients


def _of_type(store: Store, scope: Scope, type_: str) -> Iterator[Stored]:
    after = ""
    while True:
        row_filter = store.access.row_filter(scope, type_)  # each time: a grant may have ended
        condition = row_filter.sql.replace("{r}", "r")
        sql = (
            "SELECT r.rid, r.fhir_id FROM resource r WHERE r.type_id = ? AND r.fhir_id > ? AND r.deleted = 0 "
            f"AND ({condition}) ORDER BY r.fhir_id LIMIT {_PART}"
        )
        with store.db.read() as session:
            found = session.all(sql, (TYPE_IDS[type_], after, *row_filter.params))
            rows = by_rids(session, [int(row[0]) for row in found])
        if not found:
            return
        yield from (visible(store, scope, rows[rid]) for rid, _ in found if rid in rows)
        after = str(found[-1][1])
