"""The two databases of the bridge, opened when they are first needed: a server that nobody asks for research opens neither."""

from __future__ import annotations

import threading
from collections.abc import Callable

from chartloop.kernel.db import Database
from omop_bridge.database import open_cdm, open_lineage


class Lazily:
    """One database, opened by the first who calls for it."""

    def __init__(self, opening: Callable[[], Database]) -> None:
        """Take how it is opened."""
        self._opening = opening
        self._opened: Database | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Database:
        """Return the database."""
        with self._lock:
            if self._opened is None:
                self._opened = self._opening()
            return self._opened

    def close(self) -> None:
        """Close it, if anybody opened it."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None


def lazily_opened(cdm_url: str, lineage_url: str) -> tuple[Lazily, Lazily]:
    """The CDM and the lineage."""
    return Lazily(lambda: open_cdm(cdm_url)), Lazily(lambda: open_lineage(lineage_url))
