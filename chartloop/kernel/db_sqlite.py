"""SQLite: one writer thread that commits in groups, and as many reading connections as threads read at once.

Spec: https://www.sqlite.org/wal.html
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from chartloop.kernel.db_inserts import ROWS, for_rows
from chartloop.kernel.db_queue import WriteQueue
from chartloop.kernel.db_session import Database, Params, ReadBlock, Row, Session, Tx
from chartloop.kernel.errors import ChartloopError, Conflict, Unavailable
from chartloop.kernel.vault.columns import Columns

T = TypeVar("T")
_SYNCHRONOUS_FULL = 2
_MMAP_BYTES = 1 << 30
_READER_CACHE_KIB = 1024
"""Of each reading connection, for what is still in the log: the file itself is mapped, and larger caches made no search faster."""

_OUT_OF_REACH = {
    sqlite3.SQLITE_FULL: "The disk or the database is full; nothing was changed.",
    sqlite3.SQLITE_BUSY: "Another process holds the database; nothing was changed, try again.",
    sqlite3.SQLITE_LOCKED: "The database is locked; nothing was changed, try again.",
    sqlite3.SQLITE_IOERR: "The disk does not answer; nothing was changed.",
    sqlite3.SQLITE_READONLY: "The database cannot be written; nothing was changed.",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened.",
    sqlite3.SQLITE_NOMEM: "There is not enough memory; nothing was changed.",
}


def _translate(error: sqlite3.Error) -> ChartloopError | None:
    """Say in our own words what SQLite said; None when it is a fault of the program."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CONSTRAINT:
        return Conflict("A row with the same key is already stored, or a row that this one needs is not.")
    text = _OUT_OF_REACH.get(code)
    return Unavailable(text) if text else None


class SqliteSession(Tx):
    """One SQLite connection; a reader never calls run, many or after_commit."""

    dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection, columns: Columns) -> None:
        """Wrap a connection in autocommit mode."""
        self.connection = connection
        self.columns = columns
        self.actions: list[Callable[[], None]] = []
        self.lost = False

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._cursor(sql, params).fetchone()
        return row

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        """Return every row."""
        return self._cursor(sql, params).fetchall()

    def each(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Yield rows without holding them all."""
        yield from self._cursor(sql, params)

    def run(self, sql: str, params: Params = ()) -> int:
        """Change rows; return how many."""
        self._refuse_lost()
        return self._cursor(sql, params).rowcount

    def many(self, sql: str, rows: Iterable[Params]) -> int:
        """Run one statement for each row of parameters; return how many rows were changed in all."""
        self._refuse_lost()
        changed = 0
        try:
            # Every step of a statement lets other threads take the interpreter, and this one holds the write lock: few steps.
            waiting = iter(rows)
            while part := list(islice(waiting, ROWS)):
                several = for_rows(sql, len(part))
                if several is None:
                    return self.connection.executemany(sql, chain(part, waiting)).rowcount
                changed += self.connection.execute(several, list(chain.from_iterable(part))).rowcount
        except sqlite3.Error as error:
            self._raise(error)
        return changed

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run a short action once the transaction is durable."""
        self.actions.append(action)

    def _cursor(self, sql: str, params: Params) -> sqlite3.Cursor:
        try:
            return self.connection.execute(sql, params)
        except sqlite3.Error as error:
            self._raise(error)
            raise

    def _refuse_lost(self) -> None:
        """Refuse to go on after SQLite has rolled everything back by itself: this statement would stand alone."""
        if self.lost:
            raise Unavailable("The transaction was lost; nothing was changed.")

    def _raise(self, error: sqlite3.Error) -> None:
        self.lost = not self.connection.in_transaction
        meaning = _translate(error)
        if meaning is None:
            raise error
        raise meaning from None

    def close(self) -> None:
        """Close the connection."""
        with suppress(sqlite3.Error):
            self.connection.close()


class SqliteDatabase(Database):
    """A SQLite file, written by one thread of this process."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        """Open or make the file."""
        super().__init__()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._local = threading.local()
        self._free: deque[SqliteSession] = deque()
        self._closed = False
        self._writer = SqliteSession(self._connect(cache_kib=64 * 1024), self.columns)
        self._queue = WriteQueue(_SqliteGroup(self._writer, self._writing))

    def _connect(self, *, cache_kib: int) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )
            connection.execute("PRAGMA journal_mode=WAL")
            for pragma in (
                "synchronous=FULL",
                f"mmap_size={_MMAP_BYTES}",
                f"cache_size=-{cache_kib}",
                "foreign_keys=ON",
                "temp_store=MEMORY",
                # Index rows land everywhere: the longer the log, the more writes to one page become one.
                "wal_autocheckpoint=32000",
                "journal_size_limit=134217728",
                "trusted_schema=OFF",
            ):
                connection.execute(f"PRAGMA {pragma}")
            level = connection.execute("PRAGMA synchronous").fetchone()[0]
        except sqlite3.Error as error:
            raise _translate(error) or Unavailable("The database file cannot be opened.") from None
        if level < _SYNCHRONOUS_FULL:
            raise Unavailable("SQLite refuses synchronous=FULL here; an acknowledged write could be lost.")
        return connection

    def read(self, *, snapshot: bool = False) -> AbstractContextManager[Session]:
        """Open a block that reads one snapshot."""
        return ReadBlock(self._local, self._begin, self._give)

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Return the first row of one statement; it needs no BEGIN and ROLLBACK around it, and sees the snapshot that is open, if one is."""
        outer: SqliteSession | None = getattr(self._local, "reader", None)
        if outer is not None:
            return outer.one(sql, params)
        reader = self._take()
        try:
            return reader.one(sql, params)
        finally:
            self._give(reader)

    def _begin(self) -> SqliteSession:
        reader = self._take()
        try:
            reader.one("BEGIN")
        except BaseException:
            self._give(reader)
            raise
        return reader

    def _take(self) -> SqliteSession:
        """Take the connection that was used last, whose pages are still near the processor; open one where every other is in use."""
        if self._closed:
            raise Unavailable("The database is closed.")
        try:
            return self._free.pop()
        except IndexError:
            return SqliteSession(self._connect(cache_kib=_READER_CACHE_KIB), self.columns)

    def _give(self, reader: SqliteSession) -> None:
        """Let the snapshot of a connection go, and keep it for the next."""
        if reader.connection.in_transaction:
            reader.connection.execute("ROLLBACK")
        if self._closed:
            reader.close()
        else:
            self._free.append(reader)

    def write(self, work: Callable[[Tx], T]) -> T:
        """Hand the work to the writer thread, and wait until it is durable."""
        self.refuse_nesting()
        return self._queue.submit(work)

    def close(self) -> None:
        """Finish what is queued and let go of every connection."""
        self._closed = True
        self._queue.close()
        with suppress(IndexError):
            while True:
                self._free.pop().close()
        self._writer.close()


class _SqliteGroup:
    """One transaction for several pieces of work."""

    def __init__(self, session: SqliteSession, writing: threading.local) -> None:
        self._session = session
        self._writing = writing

    def begin(self) -> None:
        self._writing.now = True
        self._session.actions = []
        self._session.lost = False
        self._session.run("BEGIN IMMEDIATE")

    def attempt(self, work: Callable[[Tx], object], *, alone: bool) -> object:
        """Do one piece of work; take back what it did when it fails, unless it is told that everything will be taken back then."""
        session = self._session
        if alone:
            return work(session)
        kept = len(session.actions)
        session.run("SAVEPOINT item")
        try:
            result = work(session)
        except BaseException:
            del session.actions[kept:]
            # Some failures (a full disk) end the whole transaction by themselves.
            if session.connection.in_transaction:
                session.run("ROLLBACK TO item")
                session.run("RELEASE item")
            raise
        session.run("RELEASE item")
        return result

    def alive(self) -> bool:
        return self._session.connection.in_transaction

    def commit(self) -> list[Callable[[], None]]:
        self._session.run("COMMIT")
        actions, self._session.actions = self._session.actions, []
        return actions

    def rollback(self) -> None:
        self._session.actions = []
        if self._session.connection.in_transaction:
            with suppress(sqlite3.Error):
                self._session.connection.execute("ROLLBACK")
