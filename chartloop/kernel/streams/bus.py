"""The stream bus: the outbox goes through Kafka or Kinesis on its way to the slots of the table bus."""

import threading
from collections.abc import Callable
from typing import NamedTuple

from chartloop.kernel import clock, ids
from chartloop.kernel.broker import Group
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db_session import Database, Session, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.streams.fetcher import Fetcher
from chartloop.kernel.streams.leader import Leader
from chartloop.kernel.streams.ports import Stream
from chartloop.kernel.streams.relay import Relay
from chartloop.kernel.streams.taking import Taking

_PATIENCE_S = 10.0


class Pace(NamedTuple):
    """How fast, how much, how long."""

    parts: int = 8
    most_waiting: int = 10_000
    poll_s: float = 0.5
    lease_s: float = 30.0
    create: bool = True
    """Whether topics that are missing are made at the start."""


class StreamBus(TableBus):
    """The table bus, whose slots are filled by fetchers from the stream and not from the outbox itself.

    Lanes, leases, holds, marks, dead letters and replay are the table bus's own. Threads start with the first subscription: a process
    without consumers publishes into the outbox, and no more.
    """

    def __init__(self, database: Database, stream: Stream, pace: Pace, *, lanes: int = 8, source: str = "chartloop") -> None:
        """Use the tables of this database and this stream; `source` is the URI that events name as theirs."""
        super().__init__(database, lanes=lanes)
        self._stream = stream
        self._pace = pace
        self._owner = ids.public_id()
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._relay = Relay(database, self._leader("relay"), stream, source=source, parts=pace.parts, poll_s=pace.poll_s, create=pace.create)

    def publish(self, tx: Tx, *events: Event) -> None:
        """Store events with the caller's change, in their order."""
        super().publish(tx, *events)
        tx.after_commit(self._relay.tell)

    def subscribe(self, group: Group) -> None:
        """Make a group known, and begin to fetch for it."""
        super().subscribe(group)
        self._start("relay", self._relay.run)
        taking = Taking(self._db, group, self._stream.name, self.wake)
        lead = self._leader(f"fetch-{group.name}").lead
        fetcher = Fetcher(group.name, self._stream, taking, lead, poll_s=self._pace.poll_s, most_waiting=self._pace.most_waiting)
        self._start(f"fetch-{group.name}", lambda: fetcher.run(self._stopping))

    def close(self) -> None:
        """Stop publishing and fetching; what was not acknowledged is published by whoever leads next."""
        self._stopping.set()
        self._relay.stop()
        end_s = clock.perf_s() + _PATIENCE_S
        for thread in self._threads.values():
            thread.join(max(0.0, end_s - clock.perf_s()))

    def _leader(self, duty: str) -> Leader:
        return Leader(self._db, duty, self._owner, self._pace.lease_s)

    def _start(self, name: str, target: Callable[[], None]) -> None:
        if name not in self._threads:
            self._threads[name] = threading.Thread(target=target, name=f"chartloop-{name}", daemon=True)
            self._threads[name].start()

    def _has_work(self, session: Session, consumer: str) -> bool:
        return bool(self._free_slots(session, consumer, 1))

    def _dispatch(self, tx: Tx, group: Group) -> None:
        """Nothing: fetchers fill the slots."""
