"""The write queue: one thread takes what is queued and makes it durable with one commit."""

import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from chartloop.kernel.db_session import Tx, run_actions
from chartloop.kernel.errors import ChartloopError, Unavailable

T = TypeVar("T")
Work = Callable[[Tx], object]
MAX_GROUP = 256
CAREFUL = 16
"""After a failure, so many groups keep their pieces of work apart: where one writer loses a race, the next does too."""


class Group(Protocol):
    """One database transaction that carries several pieces of work."""

    def begin(self) -> None: ...
    def attempt(self, work: Work, *, alone: bool) -> object: ...
    def alive(self) -> bool: ...
    def commit(self) -> list[Callable[[], None]]: ...
    def rollback(self) -> None: ...


class _Item:
    """A piece of work and its outcome; the lock is held until there is one."""

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class WriteQueue:
    """Work from many threads, done by one."""

    def __init__(self, group: Group) -> None:
        """Start the writer thread."""
        self._group = group
        self._items: deque[_Item] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._careful = 0
        self._thread = threading.Thread(target=self._serve, name="chartloop-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Tx], T]) -> T:
        """Queue work and wait until it is durable."""
        # What the thread that asks stands in (its trace) holds for its work as well, though another thread does it.
        item = _Item(partial(_within, copy_context(), work))
        with self._wake:
            if self._closed:
                raise Unavailable("The database is closed.")
            self._items.append(item)
            self._wake.notify()
        item.done.acquire()
        if item.error is not None:
            try:
                raise item.error
            finally:
                del item  # the traceback would keep itself alive
        return cast("T", item.result)

    def close(self) -> None:
        """Do what is queued, then stop."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._items and not self._closed:
                    self._wake.wait()
                if not self._items:
                    return
                items = [self._items.popleft() for _ in range(min(len(self._items), MAX_GROUP))]
            self._do(items)

    def _do(self, items: list[_Item]) -> None:
        actions: list[Callable[[], None]] = []
        try:
            if not self._together(items):
                self._group.begin()
                self._attempt_each(items)
            actions = self._group.commit()
        except BaseException as error:
            self._group.rollback()
            for item in items:
                item.error = item.error or _shared(error)
        run_actions(actions)
        for item in items:
            item.done.release()

    def _together(self, items: list[_Item]) -> bool:
        """Do everything in the hope that nothing fails, which spares each a savepoint; where something does, nothing is done."""
        if len(items) == 1 or self._careful:
            self._careful = max(0, self._careful - 1)
            return False
        self._group.begin()
        try:
            for item in items:
                item.result = self._group.attempt(item.work, alone=True)
        except BaseException:
            self._group.rollback()
            self._careful = CAREFUL
            return False
        return True

    def _attempt_each(self, items: list[_Item]) -> None:
        alone = len(items) == 1
        for item in items:
            try:
                item.result = self._group.attempt(item.work, alone=alone)
            except BaseException as error:
                item.error = error
                if alone or not self._group.alive():
                    raise


def _within(context: Context, work: Work, tx: Tx) -> object:
    return context.run(work, tx)


def _shared(error: BaseException) -> BaseException:
    """Give every caller an exception of its own: one object raised in many threads mixes their tracebacks."""
    if isinstance(error, ChartloopError):
        return Unavailable(str(error))
    return Unavailable("The write could not be made durable; nothing was changed, try again.")

