"""What one worker tells whoever watches: that it lives, what it tried again, and the states that only its consumers know."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence

from chartloop.kernel import signals
from chartloop.kernel.broker import Failure
from chartloop.kernel.db_session import Database, Tx

_log = logging.getLogger(__name__)


class Telling:
    """Counts and states of one worker, on their way to the store."""

    def __init__(self, database: Database, process: str, sources: Sequence[object]) -> None:
        """Tell them there as this process; a source that has a method `signals` is asked for its states."""
        self._db, self._process, self._sources = database, process, sources
        self._lock = threading.Lock()
        self._retried: Counter[str] = Counter()

    def noticed(self, failure: Failure, consumer: str) -> None:
        """Count a failure that is tried again."""
        if failure.counts and failure.delay_s is not None:
            with self._lock:
                self._retried[consumer] += 1

    def tell(self, *, ending: bool = False) -> None:
        """Write counts and states; take the states back where the worker ends."""
        with self._lock:
            retried, self._retried = self._retried, Counter()
        states: dict[str, dict[str, int]] = {signals.WORKERS: {"": 1}}

        def work(tx: Tx) -> None:
            signals.add(tx, signals.RETRIED, retried)
            if ending:
                signals.silence(tx, self._process)
                return
            for name, said in states.items():
                signals.tell(tx, self._process, name, said)

        try:
            for source in self._sources:
                for name, said in getattr(source, "signals", dict)().items():
                    states.setdefault(name, {}).update(said)
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
