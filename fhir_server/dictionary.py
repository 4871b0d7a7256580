"""Train a compression dictionary on what is stored, so that small bodies shrink to a quarter.

A dictionary is data of this store like the bodies it was made from: it stays in the database, sealed like them, and is never sent anywhere.
Spec: https://www.rfc-editor.org/rfc/rfc8878#name-dictionary-format
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import zstandard

from chartloop.kernel.db import Session, Tx
from chartloop.kernel.vault.vault import Destroyed
from fhir_server.codec import Codec
from fhir_server.rows import version_place
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_NAMES

ENOUGH: Final = 2_000
"""Fewest stored versions that a dictionary is trained on."""

SAMPLES: Final = 4_000
SIZE: Final = 64 * 1024


class DictionaryTraining:
    """Gives a store its dictionary once there is enough to learn from; a Periodic calls `run`."""

    def __init__(self, store: Store) -> None:
        """Take the store to serve."""
        self._store = store

    def run(self) -> bool:
        """Train, store and use a dictionary, or use one that another process has made; say whether one came into use."""
        codec = self._store.codec
        if codec.current:
            return False
        with self._store.db.read() as session:
            known = stored_dictionaries(session)
            samples: list[bytes | bytearray | memoryview] = [] if known else [*_samples(session, codec)]
        if not known and len(samples) >= ENOUGH:
            body = zstandard.train_dictionary(SIZE, samples).as_bytes()
            self._store.db.write(lambda tx: _store_first(tx, body))
            with self._store.db.read() as session:
                known = stored_dictionaries(session)
        for number, body in known.items():
            codec.learn(number, body)
        return bool(known)


def stored_dictionaries(session: Session) -> dict[int, bytes]:
    """Read every dictionary."""
    found = session.all("SELECT dict_id, body FROM dictionary")
    return {int(number): session.columns.kept(bytes(body), "dictionary.body", number) for number, body in found}


def _samples(session: Session, codec: Codec) -> list[bytes]:
    """Take versions from all over the store: neighbours are too much alike."""
    found = session.one("SELECT count(*) FROM version")
    every = max(1, int(found[0] if found else 0) // SAMPLES)
    sql = (
        "SELECT v.codec, v.dict_id, v.body, r.type_id, r.fhir_id, v.version FROM version v CROSS JOIN resource r "
        "WHERE r.rid = v.rid AND v.method < 3 AND v.updated % ? = 0 LIMIT ?"
    )
    taken = []
    for number, dict_id, body, type_id, id_, version in session.all(sql, (every, SAMPLES)):
        with suppress(Destroyed):
            taken.append(codec.unpack(number, dict_id, body, version_place(TYPE_NAMES[type_id], id_, version)))
    return taken


def _store_first(tx: Tx, body: bytes) -> None:
    """Store dictionary 1; of two processes that race, the first one's counts for both."""
    tx.run("INSERT INTO dictionary (dict_id, body) VALUES (1, ?) ON CONFLICT DO NOTHING", (tx.columns.keep(body, "dictionary.body", 1),))
