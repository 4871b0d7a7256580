"""The vocabulary as a table: words are added in the transaction that brings them, and never taken away.

A word that no resource has any more finds nothing, because what it stands for are rows of the index, which are looked at.
A store that was filled before there was a vocabulary has a whole one only after it was indexed again; it says so by one row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import Final

from chartloop.kernel.db import OneRow, Tx
from fhir_server.indexing.words import Word

KNOWN: Final = 65_536
"""Most words that a process remembers."""

_INSERT: Final = "INSERT INTO vocabulary (param, kind, word, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_WHOLE: Final[Word] = (0, 0, "", 0)


def declare_whole(tx: Tx) -> None:
    """Say that the vocabulary has every word of the store: of an empty one, and when all of it has been indexed again."""
    tx.run(_INSERT, _WHOLE)


class Vocabulary:
    """Adds words to the database; what is known to be there is not sent again."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[Word, None] = {}
        self._lock = threading.Lock()
        self._whole = False

    def learn(self, tx: Tx, words: Iterable[Word]) -> None:
        """Add words in the transaction that brings them, in the same order everywhere, so that two writers never wait for each other."""
        fresh = sorted({word for word in words if word not in self._known})
        if fresh:
            tx.many(_INSERT, fresh)
            tx.after_commit(partial(self._remember, fresh))

    def complete(self, session: OneRow) -> bool:
        """Whether the vocabulary has every word of the store."""
        if not self._whole:
            self._whole = session.one("SELECT 1 FROM vocabulary WHERE param = ? AND kind = ? AND word = ? AND value = ?", _WHOLE) is not None
        return self._whole

    def _remember(self, words: Iterable[Word]) -> None:
        """Remember what is durable; the oldest are forgotten."""
        with self._lock:
            self._known.update(dict.fromkeys(words))
            while len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
