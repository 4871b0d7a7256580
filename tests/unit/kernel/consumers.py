"""Consumers for tests of the worker."""

import threading
import time
from collections.abc import Callable

from chartloop.kernel.broker import Once
from chartloop.kernel.db import Database
from chartloop.kernel.events import Event


class Recorder:
    """Notes what it was handed, marks it as handled, and does what it is told besides."""

    def __init__(self, database: Database, *, isolation: str = "patient", types: frozenset[str] = frozenset({"ResourceUpdated"})) -> None:
        self.name = "recorder"
        self.types = types
        self.subjects: frozenset[str] = frozenset()
        self.isolation = isolation
        self.coalesce = False
        self.seen: list[str] = []
        self.before: Callable[[Event], None] = lambda _event: None
        self._database = database
        self._lock = threading.Lock()

    def handle(self, event: Event, once: Once) -> None:
        self.before(event)
        self._database.write(once)
        with self._lock:
            self.seen.append(event.subject)


def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Wait until something is true."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return condition()
