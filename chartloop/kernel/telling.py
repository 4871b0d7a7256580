"""What one worker tells whoever watches: that it lives, and what it tried again."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from chartloop.kernel import signals
from chartloop.kernel.broker import Failure
from chartloop.kernel.db_session import Database, Tx

_log = logging.getLogger(__name__)


class Telling:
    """Counts of one worker, and that it lives, on their way to the store."""

    def __init__(self, database: Database, process: str) -> None:
        """Tell them there as this process."""
        self._db, self._process = database, process
        self._lock = threading.Lock()
        self._retried: Counter[str] = Counter()

    def noticed(self, failure: Failure, consumer: str) -> None:
        """Count a failure that is tried again."""
        if failure.counts and failure.delay_s is not None:
            with self._lock:
                self._retried[consumer] += 1

    def tell(self, *, ending: bool = False) -> None:
        """Write the counts and that it lives; take that back where the worker ends."""
        with self._lock:
            retried, self._retried = self._retried, Counter()

        def work(tx: Tx) -> None:
            signals.add(tx, signals.RETRIED, retried)
            if ending:
                signals.silence(tx, self._process)
            else:
                signals.tell(tx, self._process, signals.WORKERS, {"": 1})

        try:
            self._db.write(work)
        except Exception:
            _log.exception("Nobody could be told how this worker is.", extra={"action": "signals.failed"})
            with self._lock:
                self._retried.update(retried)

    def run(self, stopping: threading.Event) -> None:
        """Tell again and again, and a last time at the end."""
        self.tell()
        while not stopping.wait(signals.TELL_EVERY_S):
            self.tell()
        self.tell(ending=True)
