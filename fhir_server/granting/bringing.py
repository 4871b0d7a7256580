"""Grants of what was stored before there were any: derived once, when the store is opened, and again whenever somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from chartloop.kernel.access import grant_table
from chartloop.kernel.access.grants import Grant
from chartloop.kernel.db import Tx
from fhir_server import rows
from fhir_server.granting.deriving import SOURCES, derived, resolved
from fhir_server.rows import Row
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_IDS

_BROUGHT: Final = Grant(0, "", source="store")
"""A row that grants nothing: it says that the table follows the store."""

_AT_ONCE: Final = 500


def bring_grants(store: Store) -> None:
    """Derive the grants of everything that is stored, unless that was done."""
    if store.db.one("SELECT 1 FROM access_grant WHERE source = ? AND kind = 0", (_BROUGHT.source,)) is None:
        rebuild_grants(store)


def rebuild_grants(store: Store) -> int:
    """Derive the grants of everything that is stored, in parts; who writes meanwhile is not held up. Returns how many resources were looked at.

    What is stored counts as written by somebody who had a say: nobody else could store a Consent, and who treated was not asked before.
    """
    looked = 0
    for part in _parts(store):
        looked += len(part)
        store.db.write(lambda tx, part=part: _derive(store, tx, part))  # type: ignore[misc]
    store.db.write(_mark)
    return looked


def _parts(store: Store) -> Iterator[list[int]]:
    """Rids of the living resources that grants follow from, some at a time."""
    numbers = ", ".join(str(TYPE_IDS[type_]) for type_ in sorted(SOURCES))
    sql = f"SELECT rid FROM resource WHERE type_id IN ({numbers}) AND deleted = 0 AND rid > ? ORDER BY rid LIMIT {_AT_ONCE}"
    after = -(2**62)
    while True:
        with store.db.read() as session:
            found = [int(row[0]) for row in session.all(sql, (after,))]
        if not found:
            return
        yield found
        after = found[-1]


def _derive(store: Store, tx: Tx, rids: list[int]) -> None:
    lock = " FOR UPDATE" if tx.dialect == "postgresql" else ""
    tx.all(f"SELECT rid FROM resource WHERE rid IN ({', '.join('?' * len(rids))}) ORDER BY rid{lock}", rids)
    for row in rows.by_rids(tx, rids).values():
        grant_table.remove_source(tx, row.reference)
        if not row.deleted:
            grant_table.add(tx, _grants(store, tx, row), TYPE_IDS)


def _grants(store: Store, tx: Tx, row: Row) -> Iterator[Grant]:
    resource = msgspec.json.decode(store.codec.unpack(row.codec, row.dict_id, row.packed, row.place))
    made = derived(store, row.type, resource, row.attributes())
    for grant in dict.fromkeys(made.grants if made else ()):
        yield resolved(store, tx, grant)._replace(source=row.reference)


def _mark(tx: Tx) -> None:
    grant_table.remove_source(tx, _BROUGHT.source)
    grant_table.add(tx, [_BROUGHT], TYPE_IDS)
