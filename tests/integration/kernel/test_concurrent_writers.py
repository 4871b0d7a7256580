"""Eight writers at once: no event is lost, each comes once, each key in its order."""

import random
import threading
import time

import pytest

from chartloop.kernel.broker import Once
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Worker

WRITERS, EACH = 8, 250


class Collector:
    """Notes every event, without marking any."""

    name = "collector"
    types: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    isolation = "patient"

    def __init__(self) -> None:
        self.seen: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def handle(self, event: Event, once: Once) -> None:
        del once
        with self._lock:
            self.seen.setdefault(event.subject, []).append(event.version)


@pytest.mark.conformance("Events", "eight writers lose no event, each comes once and in order, though commits overtake numbers")
@pytest.mark.conformance("Attacks", "78: transactions in flight lose no event")
def test_eight_writers_lose_no_event(database: Database) -> None:
    bus = TableBus(database)
    outbox = Outbox(bus, b"secret")
    collector = Collector()
    workers = [Worker(database, bus, [collector], (), WorkerSettings(poll_interval_s=0.05)) for _ in range(2)]
    for worker in workers:
        worker.start()

    def write(writer: int) -> None:
        rng = random.Random(writer)
        for version in range(EACH):

            def work(tx: Tx, version: int = version) -> None:
                outbox.publish(tx, "ResourceUpdated", f"Observation/{writer}", key=f"Patient/{writer}", version=version)
                if tx.dialect == "postgresql" and rng.random() < 0.3:
                    time.sleep(rng.random() * 0.01)  # commits in another order than the numbers were drawn

            database.write(work)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert workers[0].idle(30)
    for worker in workers:
        worker.stop()
    assert collector.seen == {f"Observation/{writer}": list(range(EACH)) for writer in range(WRITERS)}
