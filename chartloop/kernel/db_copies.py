"""Copies of a SQLite database: made while others write to it, and read without changing a byte of them.

Spec: https://www.sqlite.org/backup.html, https://www.sqlite.org/uri.html#uriimmutable
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, unquote

from chartloop.kernel.db_session import Database, Session, Tx
from chartloop.kernel.db_sqlite import SqliteSession
from chartloop.kernel.errors import Unavailable

T = TypeVar("T")
_PAGES: Final = 16_384
_BUSY_S: Final = 30.0


def sqlite_file(url: str) -> Path:
    """The file that a sqlite:/// URL names."""
    return Path(unquote(url.removeprefix("sqlite:///")))


def copy_online(source: Path, target: Path) -> None:
    """Copy a database as it is now into a new file, readable by its owner alone; writers go on meanwhile.

    One read transaction is held from beginning to end: without it every write of another process would start the copy anew. The copy is
    no WAL database, so that it can be read where nothing may be written.

    Raises:
        Unavailable: The source cannot be read, or the target not be written; the target is then worth nothing.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(_opened(source, "mode=rw")) as from_, closing(_opened(target, "mode=rw")) as to:
            from_.execute("BEGIN")
            from_.execute("SELECT count(*) FROM sqlite_master").fetchone()
            from_.backup(to, pages=_PAGES)
            from_.execute("ROLLBACK")
            to.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise Unavailable(f"{source} could not be copied to {target} ({error.sqlite_errorname}).") from None
    _sync(target)


class SqliteCopy(Database):
    """A file that nobody writes to: it is read, and stays what it is."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            Unavailable: It is no SQLite database.
        """
        super().__init__()
        try:
            connection = _opened(path, "mode=ro&immutable=1")
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.Error:
            raise Unavailable(f"{path} cannot be opened as a SQLite database.") from None
        self._session = SqliteSession(connection, self.columns)

    def read(self, *, snapshot: bool = False) -> AbstractContextManager[Session]:
        """Open a block of reads."""
        return nullcontext(self._session)

    def write(self, work: Callable[[Tx], T]) -> T:
        """Refuse."""
        raise Unavailable("A copy is only read.")

    def damage(self) -> str:
        """What SQLite itself finds wrong with its pages; empty where it finds nothing."""
        row = self.one("PRAGMA quick_check(1)")
        return "" if row == ("ok",) else "SQLite finds its pages damaged"

    def close(self) -> None:
        """Let go of the file."""
        self._session.close()


def _opened(path: Path, parameters: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{parameters}", uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_S
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
