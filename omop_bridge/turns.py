"""Whose turn it is to write: one process at a time, on either kind of database.

Spec: https://www.postgresql.org/docs/18/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chartloop.kernel.db import Database

_LOCK: Final = 0x6F6D6F70  # "omop"


@contextmanager
def one_at_a_time(lineage: Database) -> Iterator[None]:
    """Hold the turn for a block; the system takes it back from a process that dies."""
    file: Path | None = getattr(lineage, "path", None)
    if file is not None:  # SQLite
        with _file_lock(file.with_suffix(".lock")):
            yield
        return
    with lineage.read() as session:
        session.one("SELECT pg_advisory_lock(?)", (_LOCK,))
        try:
            yield
        finally:
            session.one("SELECT pg_advisory_unlock(?)", (_LOCK,))


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
