"""Grants of what was stored before there were any: derived once, when the store is opened, and again whenever somebody asks for it.

With them, whose chart a Provenance or a Binary is in that was stored before that was looked at: until then it is nobody's, so it is closed to
those who treat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

import msgspec

from chartloop.kernel.access import grant_table
from chartloop.kernel.access.grants import Grant
from chartloop.kernel.db import Tx
from fhir_server import rows
from fhir_server.granting.belonging import SPEAKING, patient_of, speaks_of
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
    for types, work in ((SPEAKING, _belong), (SOURCES, _derive)):
        for part in _parts(store, types):
            looked += len(part)
            store.db.write(partial(work, store, rids=part))
    store.db.write(_mark)
    return looked


def _parts(store: Store, types: Iterable[str]) -> Iterator[list[int]]:
    """Rids of the living resources of some types, some at a time."""
    numbers = ", ".join(str(TYPE_IDS[type_]) for type_ in sorted(types))
    sql = f"SELECT rid FROM resource WHERE type_id IN ({numbers}) AND deleted = 0 AND rid > ? ORDER BY rid LIMIT {_AT_ONCE}"
    after = -(2**62)
    while True:
        with store.db.read() as session:
            found = [int(row[0]) for row in session.all(sql, (after,))]
        if not found:
            return
        yield found
        after = found[-1]


def _belong(store: Store, tx: Tx, rids: list[int]) -> None:
    for row in rows.by_rids(tx, rids).values():
        if not row.patient and not row.deleted:
            resource = msgspec.json.decode(store.codec.unpack(row.codec, row.dict_id, row.packed, row.place))
            if found := patient_of(tx, speaks_of(row.type, resource, store.base)):
                tx.run("UPDATE resource SET patient = ? WHERE rid = ? AND version = ?", (found, row.rid, row.version))


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
