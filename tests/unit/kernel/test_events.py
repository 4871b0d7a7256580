"""Events travel at least once, in order for each key, and count once."""

import threading
from collections.abc import Callable, Iterator

import pytest

from chartloop.kernel.broker import Bus
from chartloop.kernel.broker_memory import MemoryBus
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.errors import NotFound
from chartloop.kernel.events import Event
from chartloop.kernel.inbox import accept, digest_of
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.retention import forget_events
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Consumer, Later, Periodic, Permanent, Worker

from .consumers import Recorder, eventually

SETTINGS = WorkerSettings(poll_interval_s=0.05, attempts=3, backoff_s=0.01)
Start = Callable[..., Worker]
on_tables = pytest.mark.parametrize("bus", ["table"], indirect=True)


@pytest.fixture(params=["table", "memory"])
def bus(request: pytest.FixtureRequest, database: Database) -> Bus:
    return TableBus(database) if request.param == "table" else MemoryBus()


@pytest.fixture
def outbox(bus: Bus) -> Outbox:
    return Outbox(bus, b"secret")


@pytest.fixture
def start(database: Database, bus: TableBus) -> Iterator[Start]:
    workers: list[Worker] = []

    def begin(*consumers: Consumer, periodics: tuple[Periodic, ...] = ()) -> Worker:
        worker = Worker(database, bus, consumers, periodics, SETTINGS)
        worker.start()
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.stop()


def _publish(database: Database, outbox: Outbox, *subjects: str, key: str = "Patient/1") -> None:
    def work(tx: Tx) -> None:
        for subject in subjects:
            outbox.publish(tx, "ResourceUpdated", subject, key=key)

    database.write(work)


@pytest.mark.conformance("Attacks", "85: events of one key come in their order")
@pytest.mark.conformance("Events", "events of one key come in their order")
def test_events_of_one_key_come_in_their_order(database: Database, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)
    worker = start(recorder)
    for number in range(0, 60, 3):
        _publish(database, outbox, *(f"Observation/{n}" for n in range(number, number + 3)))
    assert worker.idle(30)
    assert recorder.seen == [f"Observation/{n}" for n in range(60)]


@pytest.mark.conformance("Events", "an event of a transaction that failed never comes")
@pytest.mark.conformance("What must be real underneath", "outbox: an event is published with its transaction or not at all")
def test_an_event_of_a_transaction_that_failed_never_comes(database: Database, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)
    worker = start(recorder)

    def fail(tx: Tx) -> None:
        outbox.publish(tx, "ResourceUpdated", "Observation/lost", key="Patient/1")
        raise KeyError

    with pytest.raises(KeyError):
        database.write(fail)
    _publish(database, outbox, "Observation/kept")
    assert worker.idle(30)
    assert recorder.seen == ["Observation/kept"]


@pytest.mark.conformance("Attacks", "90: what is stored of the key is a keyed hash")
@pytest.mark.conformance("Events", "of an ordering key only a keyed hash is stored")
@on_tables
def test_what_is_stored_of_the_key_is_a_keyed_hash(database: Database, outbox: Outbox) -> None:
    _publish(database, outbox, "Observation/1", key="Patient/mueller-hans")
    with database.read() as session:
        row = session.one("SELECT * FROM event")
    assert row is not None
    assert "mueller" not in str(row)


def test_an_unknown_event_type_is_refused(database: Database, outbox: Outbox) -> None:
    with pytest.raises(KeyError, match="declare it"):
        database.write(lambda tx: outbox.publish(tx, "SomethingHappened", "x/1", key="x"))


def test_a_consumer_gets_only_the_types_and_subjects_that_it_wants(database: Database, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)
    recorder.subjects = frozenset({"Claim"})
    worker = start(recorder)
    _publish(database, outbox, "Observation/1", "Claim/1", "ClaimResponse/1")
    database.write(lambda tx: outbox.publish(tx, "ResourceDeleted", "Claim/2", key="Patient/1"))
    assert worker.idle(30)
    assert recorder.seen == ["Claim/1"]


@pytest.mark.conformance("Events", "a passing failure is tried again and keeps the order")
def test_a_passing_failure_is_tried_again_and_keeps_the_order(database: Database, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)
    failures = iter([True, True, False, False, False])

    def fail_twice(_event: Event) -> None:
        if next(failures):
            raise OSError("the network is down")

    recorder.before = fail_twice
    worker = start(recorder)
    _publish(database, outbox, "Observation/1", "Observation/2", "Observation/3")
    assert worker.idle(30)
    assert recorder.seen == ["Observation/1", "Observation/2", "Observation/3"]


@pytest.mark.conformance("Events", "a poison event becomes a dead letter that parks its own key only; retried, all goes on in order")
@pytest.mark.conformance("Attacks", "85: a poison event stops no other key, and order in its key is kept")
@on_tables
def test_a_poison_event_parks_its_own_key_only_and_tells_that_it_died(
    database: Database, bus: Bus, outbox: Outbox, start: Start
) -> None:
    recorder = Recorder(database)
    undertaker = Recorder(database, types=frozenset({"DeadLettered"}))
    undertaker.name = "undertaker"

    def poison(event: Event) -> None:
        if event.subject == "Observation/poison":
            raise Permanent("PID-3 is missing")

    recorder.before = poison
    worker = start(recorder, undertaker)
    _publish(database, outbox, "Observation/1", "Observation/poison", "Observation/waits")
    _publish(database, outbox, "Observation/other", key="Patient/2")
    assert worker.idle(30)
    assert sorted(recorder.seen) == ["Observation/1", "Observation/other"]
    letters = DeadLetters(database, bus)
    [letter] = letters.list()
    assert (letter.consumer, letter.subject, letter.reason) == ("recorder", "Observation/poison", "PID-3 is missing")
    assert undertaker.seen == [f"dead-letter/{letter.id}"]

    recorder.before = lambda _event: None
    letters.retry(letter.id)
    assert eventually(lambda: recorder.seen[-2:] == ["Observation/poison", "Observation/waits"])
    with pytest.raises(NotFound):
        letters.show(letter.id)


@pytest.mark.conformance("Events", "a dropped dead letter lets its key go on; its reason quotes nothing")
@on_tables
def test_a_dropped_dead_letter_lets_its_key_go_on(database: Database, bus: Bus, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)

    def poison(event: Event) -> None:
        if event.subject == "Observation/poison":
            raise ValueError("PATIENT NAME")

    recorder.before = poison
    worker = start(recorder)
    _publish(database, outbox, "Observation/poison", "Observation/waits")
    assert worker.idle(30)
    letters = DeadLetters(database, bus)
    [letter] = letters.list()
    assert letter.reason == "ValueError in 3 attempts", "no text that could quote a patient"
    letters.drop(letter.id)
    assert eventually(lambda: recorder.seen == ["Observation/waits"])


def test_later_is_no_failure_however_often(database: Database, bus: Bus, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)
    outages = iter(range(9))

    def outage(_event: Event) -> None:
        if next(outages) < 8:
            raise Later(0.01)

    recorder.before = outage
    worker = start(recorder)
    _publish(database, outbox, "Claim/1")
    assert worker.idle(30)
    assert recorder.seen == ["Claim/1"]
    assert DeadLetters(database, bus).list() == []


@pytest.mark.conformance("Events", "a hanging key does not delay the others")
def test_a_hanging_key_does_not_delay_the_others(database: Database, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database, isolation="key")
    release = threading.Event()
    recorder.before = lambda event: None if event.subject != "Claim/hangs" else (release.wait(20), None)[1]
    worker = start(recorder)
    _publish(database, outbox, "Claim/hangs", "Claim/after", key="payer/slow")
    for number in range(5):
        _publish(database, outbox, f"Claim/{number}", key=f"payer/{number}")
    assert eventually(lambda: len(recorder.seen) == 5)
    release.set()
    assert worker.idle(30)
    assert recorder.seen[5:] == ["Claim/hangs", "Claim/after"]


@pytest.mark.conformance("Events", "a coalescing consumer runs at most twice for a thousand changes, and ends with the last")
def test_a_coalescing_consumer_runs_at_most_twice_for_a_thousand_changes(database: Database, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)
    recorder.coalesce = True
    _publish(database, outbox, *(f"Observation/{n}" for n in range(1000)))
    worker = start(recorder)
    assert worker.idle(30)
    assert len(recorder.seen) <= 2, recorder.seen
    assert recorder.seen[-1] == "Observation/999"


@pytest.mark.conformance("Attacks", "87: a replay delivers again")
@pytest.mark.conformance("Events", "a replay delivers again")
def test_a_replay_delivers_again(database: Database, bus: Bus, outbox: Outbox, start: Start) -> None:
    recorder = Recorder(database)
    worker = start(recorder)
    _publish(database, outbox, "Observation/1", "Observation/2")
    assert worker.idle(30)
    assert bus.replay("recorder", 0) == 2
    assert worker.idle(30)
    assert recorder.seen == ["Observation/1", "Observation/2"] * 2


def test_something_periodic_runs_again_after_a_failure(start: Start) -> None:
    runs: list[int] = []

    def fail_first() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("once")

    start(periodics=(Periodic("count", 0.01, fail_first),))
    assert eventually(lambda: len(runs) > 2)


@pytest.mark.conformance("What must be real underneath", "inbox: a message counts once")
def test_the_inbox_accepts_a_message_once(database: Database) -> None:
    assert database.write(lambda tx: accept(tx, "hl7v2", "LAB/1", b"d"))
    assert not database.write(lambda tx: accept(tx, "hl7v2", "LAB/1", b"d"))
    assert database.write(lambda tx: accept(tx, "x12", "LAB/1", b"d"))
    assert database.write(lambda tx: digest_of(tx, "hl7v2", "LAB/1")) == b"d"
    assert database.write(lambda tx: digest_of(tx, "hl7v2", "LAB/2")) is None


@pytest.mark.conformance("Events", "events that everybody has handled are forgotten after a while, dead letters are not")
@on_tables
def test_events_that_everybody_has_handled_are_forgotten_after_a_while(
    database: Database, bus: Bus, outbox: Outbox, start: Start, fake_clock: FakeClock
) -> None:
    recorder = Recorder(database)
    recorder.before = lambda event: None if event.subject != "Observation/poison" else _poison()
    worker = start(recorder)
    _publish(database, outbox, "Observation/1", "Observation/poison", "Observation/waits")
    assert worker.idle(30)
    fake_clock.advance(100)
    assert forget_events(database, 200) == 0
    assert forget_events(database, 50) == 2  # the first one, and the news of the dead letter
    [letter] = DeadLetters(database, bus).list()
    assert letter.subject == "Observation/poison"
    recorder.before = lambda _event: None
    DeadLetters(database, bus).retry(letter.id)
    assert eventually(lambda: recorder.seen == ["Observation/1", "Observation/poison", "Observation/waits"])


def _poison() -> None:
    raise Permanent("poison")
