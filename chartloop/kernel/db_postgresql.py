"""PostgreSQL through psycopg: a small pool, transactions that are tried again when they collide.

Spec: https://www.postgresql.org/docs/18/mvcc-serialization-failure-handling.html
"""

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache, partial
from itertools import chain, islice
from typing import TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from chartloop.kernel.db_inserts import ROWS, for_rows
from chartloop.kernel.db_session import Database, Params, ReadBlock, Row, Session, Tx, run_actions
from chartloop.kernel.errors import ChartloopError, Conflict, Invalid, Unavailable
from chartloop.kernel.vault.columns import Columns

T = TypeVar("T")
_ATTEMPTS = 8
_DURABLE = ("synchronous_commit", "fsync", "full_page_writes")
_TOKENS = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|\?|%")
_COLLISIONS = (pg.SerializationFailure, pg.DeadlockDetected)
_OUT_OF_REACH = (psycopg.OperationalError, psycopg.InterfaceError)


@lru_cache(maxsize=4096)
def translate(sql: str) -> str:
    """Turn ? placeholders into psycopg's, leaving quoted text alone."""
    return _TOKENS.sub(lambda m: "%s" if m[0] == "?" else m[0].replace("%", "%%"), sql)


def _meaning(error: psycopg.Error) -> ChartloopError | None:
    """Say in our own words what PostgreSQL said, without the values that it quotes; None when it is a fault of the program."""
    if isinstance(error, pg.UniqueViolation | pg.ForeignKeyViolation | pg.CheckViolation | pg.NotNullViolation):
        return Conflict("A row with the same key is already stored, or a row that this one needs is not.")
    if isinstance(error, _OUT_OF_REACH):
        return Unavailable("The database does not answer or cannot take this now; nothing is known to have changed, try again.")
    return None


class PostgresqlSession(Tx):
    """One PostgreSQL connection."""

    dialect = "postgresql"

    def __init__(self, connection: psycopg.Connection[Row], columns: Columns) -> None:
        """Wrap a connection in autocommit mode."""
        self.connection = connection
        self.columns = columns
        self.actions: list[Callable[[], None]] = []
        self.broken = False

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Return the first row, or None."""
        return self._cursor(sql, params).fetchone()

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        """Return every row."""
        return self._cursor(sql, params).fetchall()

    def each(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Yield rows without holding them all."""
        with self._meant(), self.connection.cursor() as cursor:
            yield from cursor.stream(translate(sql), params, size=500)

    def run(self, sql: str, params: Params = ()) -> int:
        """Change rows; return how many."""
        return self._cursor(sql, params).rowcount

    def many(self, sql: str, rows: Iterable[Params]) -> int:
        """Run one statement for each row of parameters; return how many rows were changed in all."""
        changed, waiting = 0, iter(rows)
        while part := list(islice(waiting, ROWS)):
            several = for_rows(sql, len(part))
            if several is None:
                with self._meant(), self.connection.cursor() as cursor:
                    cursor.executemany(translate(sql), chain(part, waiting))
                    return cursor.rowcount
            changed += self._cursor(several, list(chain.from_iterable(part))).rowcount
        return changed

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run a short action once the transaction is durable."""
        self.actions.append(action)

    def _cursor(self, sql: str, params: Params) -> psycopg.Cursor[Row]:
        try:
            return self.connection.execute(translate(sql), params)
        except psycopg.Error as error:
            self._raise(error)
            raise

    @contextmanager
    def _meant(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            self._raise(error)

    def _raise(self, error: psycopg.Error) -> None:
        if isinstance(error, _COLLISIONS):
            raise error
        self.broken = self.broken or self.connection.closed
        meaning = _meaning(error)
        if meaning is None:
            raise error
        raise meaning from None


class _Pool:
    """Connections that are not in use; the one used last is taken first."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Row]], size: int, columns: Columns) -> None:
        self._connect = connect
        self._columns = columns
        self._free: deque[PostgresqlSession] = deque()
        self._places = threading.Semaphore(size)
        self._wait_s = 30.0
        self._closed = False

    def take(self) -> PostgresqlSession:
        if self._closed:
            raise Unavailable("The database is closed.")
        if not self._places.acquire(timeout=self._wait_s):
            raise Unavailable("Every database connection is in use; try again later.")
        try:
            return self._free.pop()
        except IndexError:
            pass
        try:
            return PostgresqlSession(self._connect(), self._columns)
        except BaseException:
            self._places.release()
            raise

    def give(self, session: PostgresqlSession) -> None:
        if session.broken or session.connection.closed:
            self._drop()  # what broke one connection has most likely broken its neighbours
            session.connection.close()
        elif self._closed:
            session.connection.close()
        else:
            self._free.append(session)
        self._places.release()

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        with suppress(IndexError):
            while True:
                self._free.pop().connection.close()


class PostgresqlDatabase(Database):
    """A PostgreSQL database."""

    dialect = "postgresql"

    def __init__(self, url: str, *, connections: int = 32) -> None:
        """Connect, and refuse a server that acknowledges before it is durable."""
        super().__init__()
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise Invalid("The database URL cannot be read.") from None
        self._url = url
        self._local = threading.local()
        self._readers = _Pool(self._connect, connections, self.columns)
        self._writers = _Pool(self._connect, connections, self.columns)
        self._refuse_unsafe()

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            connection = psycopg.connect(self._url, autocommit=True, connect_timeout=10)
        except psycopg.Error:
            raise Unavailable("The database server does not answer.") from None
        connection.prepare_threshold = 2
        connection.prepared_max = 500
        return connection

    def _refuse_unsafe(self) -> None:
        with self.read() as session:
            unsafe = [setting for setting in _DURABLE if session.one(f"SHOW {setting}") == ("off",)]
        if unsafe:
            self.close()
            raise Invalid(f"PostgreSQL runs with {unsafe[0]}=off: acknowledged writes could be lost, so Chartloop does not start.")

    def read(self, *, snapshot: bool = False) -> AbstractContextManager[Session]:
        """Open a block of reads."""
        return ReadBlock(self._local, partial(self._begin, snapshot=snapshot), self._end)

    def _begin(self, *, snapshot: bool) -> PostgresqlSession:
        session = self._readers.take()
        if snapshot:
            try:
                session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            except BaseException:
                self._readers.give(session)
                raise
        return session

    def _end(self, session: PostgresqlSession) -> None:
        if session.connection.info.transaction_status:
            with suppress(psycopg.Error):
                session.connection.rollback()
        self._readers.give(session)

    def write(self, work: Callable[[Tx], T]) -> T:
        """Do work in one transaction, again when it collides with another."""
        self.refuse_nesting()
        for attempt in range(_ATTEMPTS):
            session = self._writers.take()
            self._writing.now = True
            try:
                result = self._attempt(session, work)
            except _COLLISIONS:
                pause_s = random.random() * 0.002 * 2**attempt
            else:
                run_actions(session.actions)
                return result
            finally:
                self._writing.now = False
                self._writers.give(session)
            time.sleep(pause_s)
        raise Unavailable("This collides with other writes again and again; try again later.")

    def _attempt(self, session: PostgresqlSession, work: Callable[[Tx], T]) -> T:
        session.actions = []
        try:
            session.run("BEGIN")
            result = work(session)
            if session.connection.info.transaction_status == TransactionStatus.INERROR:
                # COMMIT would answer ROLLBACK without a word.
                raise RuntimeError("The work went on after a statement had failed; nothing was stored.")
            session.run("COMMIT")
        except BaseException:
            with suppress(psycopg.Error):
                session.connection.rollback()
            raise
        return result

    def close(self) -> None:
        """Let go of every connection that is not in use."""
        self._readers.close()
        self._writers.close()
