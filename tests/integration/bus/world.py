"""A store, a bus over it, and workers whose effects are rows."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from chartloop.kernel.broker import Bus, Once
from chartloop.kernel.broker_memory import MemoryBus
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import BusSettings, WorkerSettings
from chartloop.kernel.streams.bus import Pace, StreamBus
from chartloop.kernel.streams.opening import open_stream
from chartloop.kernel.worker import Worker

_numbers = itertools.count(1)
EFFECTS = sa.MetaData()
sa.Table("effect", EFFECTS, sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True), sa.Column("key", sa.Text), sa.Column("subject", sa.Text))
WORKER = WorkerSettings(poll_interval_s=0.05, attempts=3, backoff_s=0.01, lease_s=30)
PACE = Pace(parts=2, poll_s=0.05)


class Effects:
    """A consumer that writes a row for each event, in the transaction of its mark; `before` may refuse."""

    types: frozenset[str] = frozenset({"ResourceUpdated"})
    subjects: frozenset[str] = frozenset()
    isolation = "patient"

    def __init__(self, database: Database, name: str = "effects") -> None:
        self.name = name
        self.before: Callable[[Event], None] = lambda _event: None
        self.calls: list[str] = []
        self._database = database
        self._lock = threading.Lock()

    def handle(self, event: Event, once: Once) -> None:
        with self._lock:
            self.calls.append(event.subject)
        self.before(event)

        def effect(tx: Tx) -> None:
            once(tx)
            tx.run("INSERT INTO effect (key, subject) VALUES (?, ?)", (event.key, event.subject))

        self._database.write(effect)


@dataclass
class World:
    """What a test of a bus works with; leaving it stops every worker and every bus."""

    database: Database
    settings: Settings | None
    """What names the broker; None for the bus in memory."""
    running: list[Any] = field(default_factory=list)

    def bus(self, pace: Pace = PACE) -> Bus:
        bus: Any
        if self.settings is None:
            bus = MemoryBus()
        else:
            stream = open_stream(self.settings)
            if stream is not None:
                stream.create()
            bus = TableBus(self.database) if stream is None else StreamBus(self.database, stream, pace, source="http://127.0.0.1:8080")
            self.running.append(bus.close)
        return bus

    def work(self, bus: Bus, *consumers: Effects, settings: WorkerSettings = WORKER) -> Worker:
        worker = Worker(self.database, bus, consumers, (), settings)
        worker.start()
        self.running.append(worker.stop)
        return worker

    def publish(self, bus: Bus, *subjects: str, key: str = "Patient/1") -> None:
        outbox = Outbox(bus, b"secret")
        self.database.write(lambda tx: [outbox.publish(tx, "ResourceUpdated", subject, key=key) for subject in subjects])

    def effects(self) -> dict[str, list[str]]:
        """Subjects by hidden key, in the order in which they took effect."""
        found: dict[str, list[str]] = {}
        with self.database.read() as session:
            for key, subject in session.all("SELECT key, subject FROM effect ORDER BY id"):
                found.setdefault(key, []).append(subject)
        return found

    def flat(self) -> list[str]:
        return [subject for subjects in self.effects().values() for subject in subjects]

    def close(self) -> None:
        for stop in reversed(self.running):
            with suppress(Exception):
                stop()
        self.running.clear()


def settings_for(url: str, **bus: object) -> Settings:
    """Settings with a topic of this test's own."""
    topic = f"t{next(_numbers)}-{time.time_ns()}"
    named = url.replace("TOPIC", topic)
    return Settings(bus=BusSettings(url=named, topic=topic, partitions=2, session_timeout_s=6, kinesis_poll_s=0.05, **bus), worker=WORKER)  # type: ignore[arg-type]
