"""The web origins of registered clients, as a collection that knows of a new client without a restart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from chartloop.kernel import clock
from smart_apps.server import clients

if TYPE_CHECKING:
    from chartloop.kernel.db import Database

FRESH_US: Final = 5_000_000
"""How long what was read is believed."""


class RegisteredOrigins(Collection[str]):
    """Origins of clients and settings; read again every five seconds."""

    def __init__(self, database: Database, more: Collection[str] = ()) -> None:
        """Take the origins that the settings name beside those of clients."""
        self._database = database
        self._more = frozenset(more)
        self._known: frozenset[str] = frozenset()
        self._until = 0

    def __contains__(self, origin: object) -> bool:
        return origin in self._now()

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def _now(self) -> frozenset[str]:
        now = clock.now_us()
        if now >= self._until:
            with self._database.read() as db:
                self._known = clients.origins(db) | self._more
            self._until = now + FRESH_US
        return self._known
