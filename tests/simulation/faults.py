"""Where the process may die, a statement or a commit may fail, and others may get their turn: everywhere the database is touched."""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

from chartloop.kernel.db import Database, Session, Tx
from chartloop.kernel.db_session import Params, Row
from chartloop.kernel.errors import Unavailable

T = TypeVar("T")
FATES = ("kill-in", "fail-in", "fail-commit", "kill-after", "fail-after")
"""Dies or fails at a statement; fails at the commit; dies, or is told that it failed, though everything was stored."""


class Crash(BaseException):
    """The process was killed here."""


class FaultyTx(Tx):
    """A transaction that ends at the statement that was chosen for it."""

    def __init__(self, real: Tx, fate: str, statements: int) -> None:
        self._real, self._fate, self._left = real, fate, statements
        self.dialect, self.columns = real.dialect, real.columns

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            if self._fate == "kill-in":
                raise Crash
            raise Unavailable("A statement failed.")

    def one(self, sql: str, params: Params = ()) -> Row | None:
        self._count()
        return self._real.one(sql, params)

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        self._count()
        return self._real.all(sql, params)

    def each(self, sql: str, params: Params = ()) -> Iterator[Row]:
        self._count()
        return self._real.each(sql, params)

    def run(self, sql: str, params: Params = ()) -> int:
        self._count()
        return self._real.run(sql, params)

    def many(self, sql: str, rows: Iterable[Params]) -> int:
        self._count()
        return self._real.many(sql, rows)

    def after_commit(self, action: Callable[[], None]) -> None:
        self._real.after_commit(action)


class FaultyDatabase(Database):
    """A database over which the seed decides what happens at each read and write."""

    def __init__(self, real: Database, rng: random.Random) -> None:
        super().__init__()
        self.real, self.rng = real, rng
        self.dialect, self.columns = real.dialect, real.columns
        self.danger = 0.0
        """How likely a write meets a fate, and a read a crash."""
        self.others: Callable[[], None] = lambda: None
        """Gives everybody else a turn; called where no read is open."""
        self.reading = 0

    def read(self, *, snapshot: bool = False) -> AbstractContextManager[Session]:
        self._between()
        return _Reading(self, self.real.read(snapshot=snapshot))

    def write(self, work: Callable[[Tx], T]) -> T:
        self._between()
        if self.rng.random() >= self.danger:
            return self.real.write(work)
        fate = self.rng.choice(FATES)
        statements = self.rng.randint(1, 8) if fate.endswith("-in") else 0

        def faulty(tx: Tx) -> T:
            result = work(FaultyTx(tx, fate, statements))
            if fate == "fail-commit":
                raise Unavailable("The commit failed.")
            return result

        result = self.real.write(faulty)
        if fate == "kill-after":
            raise Crash
        if fate == "fail-after":
            raise Unavailable("The connection was lost at the commit.")
        return result

    def close(self) -> None:
        self.real.close()

    def _between(self) -> None:
        if self.rng.random() < self.danger / 4:
            raise Crash
        if not self.reading:
            self.others()


class _Reading(AbstractContextManager[Session]):
    """A block of reads that says that it is open: nobody else gets a turn inside its snapshot."""

    def __init__(self, database: FaultyDatabase, real: AbstractContextManager[Session]) -> None:
        self._database, self._real = database, real

    def __enter__(self) -> Session:
        session = self._real.__enter__()
        self._database.reading += 1
        return session

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._database.reading -= 1
        self._real.__exit__(kind, error, trace)
