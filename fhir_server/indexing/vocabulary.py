"""The vocabulary and the units of measure as tables: added to in the transaction that brings them, and never taken away from.

A word that no resource has any more finds nothing, because what it stands for are rows of the index, which are looked at.
A store that was filled before there was a vocabulary has a whole one only after it was indexed again; it says so by one row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import Final

from chartloop.kernel.db import OneRow, Tx
from fhir_server.indexing.rows import store_units
from fhir_server.indexing.units import KnownUnit
from fhir_server.indexing.words import Word

KNOWN: Final = 65_536
"""Most words and units that a process remembers."""

_INSERT: Final = "INSERT INTO vocabulary (param, kind, word, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_WHOLE: Final[Word] = (0, 0, "", 0)


def declare_whole(tx: Tx) -> None:
    """Say that the vocabulary has every word of the store: of an empty one, and when all of it has been indexed again."""
    tx.run(_INSERT, _WHOLE)


class Vocabulary:
    """Adds words to the database; what is known to be there is not sent again."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[Word | KnownUnit, None] = {}
        self._lock = threading.Lock()
        self._whole = False

    def learn(self, tx: Tx, words: Iterable[Word], units: Iterable[KnownUnit] = ()) -> None:
        """Add words and units in the transaction that brings them, in the same order everywhere, so that two writers never wait for each other."""
        known = self._known
        new_units = {unit for unit in units if unit not in known}
        fresh = sorted({word for word in words if word not in known})
        store_units(tx, new_units)
        if fresh:
            tx.many(_INSERT, fresh)
        if fresh or new_units:
            tx.after_commit(partial(self._remember, [*new_units, *fresh]))

    def complete(self, session: OneRow) -> bool:
        """Whether the vocabulary has every word of the store."""
        if not self._whole:
            self._whole = session.one("SELECT 1 FROM vocabulary WHERE param = ? AND kind = ? AND word = ? AND value = ?", _WHOLE) is not None
        return self._whole

    def _remember(self, words: Iterable[Word | KnownUnit]) -> None:
        """Remember what is durable; the oldest are forgotten."""
        with self._lock:
            self._known.update(dict.fromkeys(words))
            while len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
