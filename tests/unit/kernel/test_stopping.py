"""A worker that stops lets what it does end, begins nothing more and gives its slots back; what hangs is fenced."""

import threading

import pytest

from chartloop.kernel import signals
from chartloop.kernel.broker import LeaseLost, Once
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Periodic, Worker

from .consumers import Recorder, eventually

SETTINGS = WorkerSettings(poll_interval_s=0.02, lease_s=600.0, attempts=3, backoff_s=0.01)


class Slow(Recorder):
    """Waits in the middle of its first event until it is let go."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.entered, self.go = threading.Event(), threading.Event()
        self.refused: list[str] = []

    def handle(self, event: Event, once: Once) -> None:
        self.entered.set()
        self.go.wait(30)
        try:
            super().handle(event, once)
        except LeaseLost:
            self.refused.append(event.subject)
            raise


def publish(database: Database, *subjects: str) -> TableBus:
    bus = TableBus(database)

    def work(tx: Tx) -> None:
        for subject in subjects:
            Outbox(bus, b"s").publish(tx, "ResourceUpdated", subject, key="Patient/1")

    database.write(work)
    return bus


def leases(database: Database) -> int:
    with database.read() as session:
        row = session.one("SELECT count(*) FROM lease WHERE until > 0")
    return int(row[0]) if row else 0


@pytest.mark.conformance("Operations", "a worker that is stopped ends the event at hand, begins no other, and gives its lease back at once")
def test_a_stop_ends_the_event_at_hand_and_gives_the_lease_back(database: Database) -> None:
    bus, slow = publish(database, "Claim/1", "Claim/2", "Claim/3"), Slow(database)
    worker = Worker(database, bus, [slow], [], SETTINGS)
    worker.start()
    assert slow.entered.wait(10)
    stopping = threading.Thread(target=worker.stop, args=(20.0,))
    stopping.start()
    slow.go.set()
    stopping.join(20)
    assert slow.seen == ["Claim/1"]
    assert leases(database) == 0
    after = Recorder(database)
    following = Worker(database, TableBus(database), [after], [], SETTINGS)
    following.start()
    assert eventually(lambda: after.seen == ["Claim/2", "Claim/3"]), "at once, though a lease lasts ten minutes"
    following.stop()


@pytest.mark.conformance("Operations", "the slot of a consumer that hangs over a stop is given back; it is fenced, so that its event counts once")
def test_the_slot_of_who_hangs_is_given_back_and_it_is_fenced(database: Database) -> None:
    bus, slow = publish(database, "Claim/1", "Claim/2"), Slow(database)
    worker = Worker(database, bus, [slow], [], SETTINGS)
    worker.start()
    assert slow.entered.wait(10)
    worker.stop(0.1)
    assert leases(database) == 0
    after = Recorder(database)
    following = Worker(database, TableBus(database), [after], [], SETTINGS)
    following.start()
    assert eventually(lambda: after.seen == ["Claim/1", "Claim/2"])
    slow.go.set()
    assert eventually(lambda: slow.refused == ["Claim/1"])
    assert slow.seen == []
    following.stop()


def test_something_periodic_is_told_that_it_ends(database: Database) -> None:
    closed: list[float] = []
    worker = Worker(database, TableBus(database), [], [Periodic("watch", 60.0, lambda: None, closed.append)], SETTINGS)
    worker.start()
    worker.stop(3.0)
    [left_s] = closed
    assert 0 <= left_s <= 3.0


def test_a_worker_tells_that_it_lives_and_what_it_tried_again(database: Database) -> None:
    bus, recorder = publish(database, "Claim/1"), Recorder(database)
    failures = iter([True, True, False])
    recorder.before = lambda _event: (_ for _ in ()).throw(OSError) if next(failures) else None
    worker = Worker(database, bus, [recorder], [], SETTINGS)
    worker.start()
    assert worker.idle(30)
    with database.read() as session:
        assert signals.workers(session) == 1
    worker.stop()
    with database.read() as session:
        assert signals.totals(session, signals.RETRIED) == {"recorder": 2}
        assert signals.workers(session) == 0, "who ended is quoted no more"


def test_who_fell_silent_is_quoted_no_more(database: Database, fake_clock: FakeClock) -> None:
    def told() -> int:
        with database.read() as session:
            return signals.workers(session)

    for process in ("a", "b"):
        database.write(lambda tx, process=process: signals.tell(tx, process, signals.WORKERS, {"": 1}))
    assert told() == 2
    fake_clock.advance(20)
    database.write(lambda tx: signals.tell(tx, "a", signals.WORKERS, {"": 1}))
    fake_clock.advance(20)
    assert told() == 1
    database.write(lambda tx: signals.add(tx, signals.RETRIED, {"omop": 2}))
    database.write(lambda tx: signals.add(tx, signals.RETRIED, {"omop": 3, "claims": 1}))
    fake_clock.advance(10 * 86_400)
    database.write(lambda tx: signals.tell(tx, "c", signals.WORKERS, {"": 1}))
    with database.read() as session:
        assert signals.totals(session, signals.RETRIED) == {"omop": 5, "claims": 1}
        assert session.one("SELECT count(*) FROM signal WHERE process <> ''") == (1,), "what is a day old is forgotten"
