"""Sealing the bodies that are stored in clear, or with a retired key: in short transactions, while the server serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from chartloop.kernel.db import Session, Tx
from chartloop.kernel.vault.envelope import number_of
from chartloop.kernel.vault.resealing import Progress
from chartloop.kernel.vault.vault import Destroyed
from fhir_server.codec import PLAIN, SEALED, Packed
from fhir_server.rows import version_place
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_NAMES

AT_ONCE: Final = 200
"""Most bodies of one transaction."""

_PAGE: Final = (
    "SELECT v.rid, v.version, v.codec, v.dict_id, v.body, r.type_id, r.fhir_id, r.patient FROM version v CROSS JOIN resource r "
    "WHERE r.rid = v.rid AND (v.rid, v.version) > (?, ?) ORDER BY v.rid, v.version LIMIT ?"
)


class _Body(NamedTuple):
    """A stored body, and where it belongs."""

    rid: int
    version: int
    packed: Packed
    place: str
    patient: str


class _Resealed(NamedTuple):
    """A body that is to be written again."""

    packed: Packed
    rid: int
    version: int


def seal_bodies(store: Store, old: frozenset[int]) -> Iterator[Progress]:
    """Seal every body that is in clear, and those whose data key is among the old ones; yield after each transaction."""
    after, seen, sealed = (-1, 0), 0, 0
    while True:
        with store.db.read() as session:
            bodies = _page(session, after)
        if not bodies:
            return
        after, seen = bodies[-1][:2], seen + len(bodies)
        wanted = [each for each in bodies if _wants(each.packed, old)]
        if rows := _resealed(store, wanted):
            sealed += store.db.write(lambda tx, rows=rows: _write(store, tx, rows))  # type: ignore[misc]
        yield Progress("version.body", seen, sealed)


def living_of(session: Session, patient: str) -> int:
    """Count the resources about a patient that are not deleted: what the index tables still tell."""
    row = session.one("SELECT count(*) FROM resource WHERE patient = ? AND deleted = 0", (patient,))
    return int(row[0]) if row else 0


def _page(session: Session, after: tuple[int, int]) -> list[_Body]:
    rows = session.all(_PAGE, (*after, AT_ONCE))
    return [
        _Body(rid, version, Packed(codec, dict_id, bytes(body)), version_place(TYPE_NAMES[type_id], id_, version), patient)
        for rid, version, codec, dict_id, body, type_id, id_, patient in rows
    ]


def _wants(packed: Packed, old: frozenset[int]) -> bool:
    if packed.codec & SEALED:
        return number_of(packed.body) in old
    return packed.codec != PLAIN or bool(packed.body)  # a deletion has no body


def _resealed(store: Store, bodies: Sequence[_Body]) -> list[_Resealed]:
    rows: list[_Resealed] = []
    for each in bodies:
        with suppress(Destroyed):
            packed = store.codec.sealed(store.codec.unsealed(each.packed, each.place), each.place, each.patient)
            rows.append(_Resealed(packed, each.rid, each.version))
    return rows


def _write(store: Store, tx: Tx, rows: Sequence[_Resealed]) -> int:
    store.codec.settle(tx, (row.packed for row in rows))
    values = [(row.packed.codec, row.packed.body, row.rid, row.version) for row in rows]
    return tx.many("UPDATE version SET codec = ?, body = ? WHERE rid = ? AND version = ?", values)
