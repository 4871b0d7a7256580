"""What a piece of work may do with the database, whichever it is."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, TypeVar

from sqlalchemy import MetaData

from chartloop.kernel.vault.columns import Columns

METADATA = MetaData()
"""Every table of every package is declared on this."""

T = TypeVar("T")
Params = Sequence[object]
Row = tuple[Any, ...]


class OneRow(Protocol):
    """Whatever answers a statement with one row: a session, or a database for a statement that stands alone."""

    dialect: str

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Return the first row, or None."""
        ...


class Session(ABC):
    """One connection inside a block. SQL uses ? placeholders on both dialects."""

    dialect: str
    columns: Columns
    """Seals and opens the values of columns that the vault covers."""

    @abstractmethod
    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Return the first row, or None."""

    @abstractmethod
    def all(self, sql: str, params: Params = ()) -> list[Row]:
        """Return every row."""

    @abstractmethod
    def each(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Yield rows without holding them all; use up or close it before the next statement."""

    @abstractmethod
    def run(self, sql: str, params: Params = ()) -> int:
        """Change rows; return how many."""

    @abstractmethod
    def many(self, sql: str, rows: Iterable[Params]) -> int:
        """Run one statement for each row of parameters; return how many rows were changed in all."""


class Tx(Session):
    """A session that may write; all of it becomes durable, or none of it."""

    @abstractmethod
    def after_commit(self, action: Callable[[], None]) -> None:
        """Run a short action once the transaction is durable; it must not use the database."""


S = TypeVar("S", bound=Session)


class ReadBlock(AbstractContextManager[S]):
    """A block of reads; a block inside another one of the same thread reads through the same session, and so in the same snapshot."""

    def __init__(self, local: threading.local, begin: Callable[[], S], end: Callable[[S], None]) -> None:
        """Take where the thread's open session is kept, under `reader`, what opens one and what lets go of it."""
        self._local = local
        self._begin = begin
        self._end = end
        self._outermost = False

    def __enter__(self) -> S:
        """Give the session that is open, or open one."""
        reader: S | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._begin()
            self._outermost = True
        return reader

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the session that this block opened."""
        if self._outermost:
            reader, self._local.reader = self._local.reader, None
            self._end(reader)


class Database(ABC):
    """Where things are kept. Threads may share it."""

    dialect: str

    def __init__(self) -> None:
        """Remember which threads are inside a write; begin without a vault."""
        self._writing = threading.local()
        self.columns = Columns()

    @abstractmethod
    def read(self, *, snapshot: bool = False) -> AbstractContextManager[Session]:
        """Open a block of reads. SQLite always reads one snapshot; PostgreSQL does when asked, else each statement has its own."""

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Return the first row of one statement that stands alone, or None."""
        with self.read() as session:
            return session.one(sql, params)

    @abstractmethod
    def write(self, work: Callable[[Tx], T]) -> T:
        """Do work in one transaction; return when it is durable. The work may run twice: no effects but through tx."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is queued and let go of every connection."""

    def refuse_nesting(self) -> None:
        """Raise when this thread is inside a write: a second transaction would wait for the first for ever."""
        if getattr(self._writing, "now", False):
            raise RuntimeError("A write may not start inside another write; pass the tx on instead.")


def run_actions(actions: Iterable[Callable[[], None]]) -> None:
    """Run what waited for the commit; what is durable stays so whatever happens here."""
    for action in actions:
        try:
            action()
        except Exception:
            logging.getLogger(__name__).exception("An action after a commit failed.")
