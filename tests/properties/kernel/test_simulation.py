"""The deterministic simulation: short here, longer in the long run, as long as one likes by `python -m tests.simulation`."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import pytest

from chartloop.kernel import retention
from chartloop.kernel.broker import Delivery, Failure, Lease, Once
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Session, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from tests.conftest import server_base
from tests.simulation.running import Failed, attempt, run
from tests.simulation.stores import PostgresqlStores, SqliteStores

WHAT = "two workers, kills, failed and half-told commits, duplicates, delays, clock jumps, lost leases: after every step no event is lost, every effect is once and in order, only poison is parked"


@pytest.fixture(scope="module")
def stores() -> Iterator[SqliteStores]:
    with tempfile.TemporaryDirectory(prefix="chartloop-simulation-", dir=server_base()) as name:
        yield SqliteStores(Path(name))


@pytest.mark.conformance("Events", WHAT)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_simulation_finds_nothing(stores: SqliteStores, seed: int) -> None:
    assert run(stores, seed, 400) > 100


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.conformance("Events", WHAT)
@pytest.mark.parametrize("seed", range(100, 104))
def test_the_simulation_finds_nothing_in_many_steps(stores: SqliteStores, seed: int) -> None:
    assert run(stores, seed, 25_000) > 5_000


@pytest.mark.long
@pytest.mark.conformance("Events", WHAT)
def test_the_simulation_finds_nothing_on_postgresql(postgresql_url: str, tmp_path: Path) -> None:
    assert run(PostgresqlStores(postgresql_url, tmp_path), 3, 600) > 100


def test_a_seed_does_the_same_again(stores: SqliteStores) -> None:
    assert attempt(stores, "9/1", 150) == attempt(stores, "9/1", 150)


# Faults that are planted: the simulation must see each, or its silence means nothing.


def marks_nothing(patch: pytest.MonkeyPatch) -> None:
    def once(self: TableBus, lease: Lease, event: Event) -> Once:
        del event
        return lambda tx: self._fence(tx, lease)

    patch.setattr(TableBus, "once", once)


def has_no_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TableBus, "_fence", lambda self, tx, lease: None)


def forgets_holds(patch: pytest.MonkeyPatch) -> None:
    real = TableBus.ack

    def ack(self: TableBus, lease: Lease, done: Sequence[Delivery], failed: Sequence[Failure] = ()) -> None:
        real(self, lease, [*done, *(failure.delivery for failure in failed)])

    patch.setattr(TableBus, "ack", ack)


def tells_outside_the_change(patch: pytest.MonkeyPatch) -> None:
    def publish(self: Outbox, tx: Tx, type: str, subject: str, *, key: str, version: int = 0, trace: str = "") -> None:
        tx.after_commit(lambda: None)
        if crc32(subject.encode()) % 7:
            real(self, tx, type, subject, key=key, version=version, trace=trace)

    real = Outbox.publish
    patch.setattr(Outbox, "publish", publish)


def looks_too_far(patch: pytest.MonkeyPatch) -> None:
    def cursor(self: TableBus, session: Session, consumer: str, suffix: str = "") -> tuple[int, int, int]:
        xid, seq, lanes = real(self, session, consumer, suffix)
        return xid, seq + (seq % 10 == 9), lanes

    real = TableBus._cursor
    patch.setattr(TableBus, "_cursor", cursor)


def forgets_marks_of_what_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retention, "_MARKS", "DELETE FROM handled WHERE (consumer, event) IN (SELECT consumer, event FROM handled WHERE recorded < ? LIMIT ?)")


@pytest.mark.long
@pytest.mark.conformance("Events", "the simulation sees planted faults: no mark, no fence, no hold, a change without its event, a cursor that skips, marks forgotten too early")
@pytest.mark.parametrize("plant", [marks_nothing, has_no_fence, forgets_holds, tells_outside_the_change, looks_too_far, forgets_marks_of_what_waits])
def test_the_simulation_sees_what_is_broken(stores: SqliteStores, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    plant(monkeypatch)
    with pytest.raises(Failed) as failed:
        run(stores, 5, 60_000)
    found = failed.value
    assert f"--only {found.seed} --steps {found.steps}" in str(found)
    with pytest.raises(type(found.error)):
        attempt(stores, found.seed, found.steps)
    attempt(stores, found.seed, found.steps - 1)
