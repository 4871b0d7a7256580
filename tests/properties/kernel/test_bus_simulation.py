"""A seeded simulation: crashes, duplicates, lost leases, failures and delays against a model of what must come out.

Whatever happens, the effects of a key are those of its events, in their order, each once. A failure prints its seed.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from chartloop.kernel.broker import Group, Lease, LeaseLost, Once
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, Session, Tx, create_tables, open_database
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox, ordering_key
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Later, Permanent, work_off

T = TypeVar("T")
EFFECTS = sa.MetaData()
sa.Table(
    "effect",
    EFFECTS,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("key", sa.Text),
    sa.Column("subject", sa.Text),
)
SETTINGS = WorkerSettings(attempts=4, backoff_s=1, backoff_max_s=20, batch=5, lease_s=30)
KEYS = ("Patient/1", "Patient/2", "Patient/3", "Patient/4")


class Crash(BaseException):
    """The process was killed here."""


class FaultyDatabase(Database):
    """A database whose process dies before or after a commit, as the seed says."""

    def __init__(self, real: Database, rng: random.Random) -> None:
        super().__init__()
        self._real, self._rng = real, rng
        self.dialect = real.dialect
        self.danger = 0.0

    def read(self, *, snapshot: bool = False):  # type: ignore[no-untyped-def]
        self._maybe_crash()
        return self._real.read(snapshot=snapshot)

    def write(self, work: Callable[[Tx], T]) -> T:
        self._maybe_crash()
        result = self._real.write(work)
        self._maybe_crash()
        return result

    def close(self) -> None:
        self._real.close()

    def _maybe_crash(self) -> None:
        if self._rng.random() < self.danger:
            raise Crash


class Simulation:
    """Workers, a publisher and an operator, one step at a time."""

    name = "effects"
    types = frozenset({"ResourceUpdated"})
    subjects: frozenset[str] = frozenset()

    def __init__(self, real: Database, seed: int, clock: FakeClock, isolation: str) -> None:
        self.rng = random.Random(seed)
        self.isolation = isolation
        self.real, self.clock = real, clock
        self.database = FaultyDatabase(real, self.rng)
        self.bus = TableBus(self.database, lanes=2)
        self.outbox = Outbox(self.bus, b"secret")
        self.bus.subscribe(Group(self.name, self.types, self.subjects, isolation))
        self.published: dict[str, list[str]] = {ordering_key(b"secret", key): [] for key in KEYS}
        self.zombies: list[Lease] = []
        self.count = 0
        self.nested = False
        self.trouble = 0.15

    def handle(self, event: Event, once: Once) -> None:
        chance = self.rng.random()
        if chance < self.trouble:
            raise OSError("it passes")
        if chance < self.trouble * 1.3:
            raise Permanent("poison")
        if chance < self.trouble * 1.6:
            raise Later(5)
        if chance < self.trouble * 2 and not self.nested:
            self.nested = True  # this worker stalls; meanwhile its lease runs out and others go on
            self.clock.advance(SETTINGS.lease_s * 1.5)
            self.work()
            self.nested = False

        def effect(tx: Tx) -> None:
            once(tx)
            tx.run("INSERT INTO effect (key, subject) VALUES (?, ?)", (event.key, event.subject))

        self.database.write(effect)

    def publish(self) -> None:
        key = self.rng.choice(KEYS)
        subjects = [f"Observation/{self.count + n}" for n in range(self.rng.randint(1, 4))]
        self.count += len(subjects)
        aborted = self.rng.random() < 0.2

        def work(tx: Tx) -> None:
            for subject in subjects:
                self.outbox.publish(tx, "ResourceUpdated", subject, key=key)
            if aborted:
                raise KeyError

        with suppress(KeyError):
            self.real.write(work)
            self.published[ordering_key(b"secret", key)] += subjects

    def work(self) -> None:
        leases: list[Lease] = []
        try:
            leases = self.bus.lease("worker", {self.name: 4}, SETTINGS.lease_s)
            for lease in leases:
                while work_off(self.bus, self, lease, SETTINGS, self.rng.random):
                    pass
                self.bus.release(lease)
        except LeaseLost:
            pass
        except Crash:
            self.zombies += leases  # some of them come back from the dead

    def haunt(self) -> None:
        if self.zombies:
            with suppress(LeaseLost, Crash):
                work_off(self.bus, self, self.rng.choice(self.zombies), SETTINGS, self.rng.random)

    def operate(self) -> None:
        letters = DeadLetters(self.real, self.bus)
        for letter in letters.list():
            letters.retry(letter.id)

    def sleep(self) -> None:
        self.clock.advance(self.rng.choice((0.5, 5, 60)))

    def run(self, steps: int) -> None:
        actions = [self.publish, self.publish, self.work, self.work, self.haunt, self.sleep, self.operate]
        for _ in range(steps):
            self.database.danger = self.rng.choice((0, 0, 0.05, 0.2))
            self.rng.choice(actions)()
        self.database.danger = self.trouble = 0
        for _ in range(60):
            self.operate()
            self.work()
            self.clock.advance(40)
            if self.bus.pending() == 0 and not DeadLetters(self.real, self.bus).list():
                return

    def effects(self, session: Session) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {key: [] for key in self.published}
        for key, subject in session.all("SELECT key, subject FROM effect ORDER BY id"):
            found[key].append(subject)
        return found


def _simulate(database: Database, seed: int, clock: FakeClock, steps: int = 40) -> None:
    create_tables(database)
    create_tables(database, EFFECTS)
    simulation = Simulation(database, seed, clock, random.Random(seed).choice(("patient", "key")))
    simulation.run(steps)
    with database.read() as session:
        assert simulation.effects(session) == simulation.published, f"seed {seed}"


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'simulation.sqlite3'}")
    yield opened
    opened.close()


@pytest.mark.conformance("Events", "under crashes, duplicates, lost leases and delays every effect happens once and in order")
@pytest.mark.conformance("Attacks", "83: a crash between send and mark makes a duplicate whose effect counts once")
@pytest.mark.conformance("Attacks", "84: an expired lease of a slow worker makes no effect twice")
@pytest.mark.parametrize("seed", range(40))
def test_every_effect_happens_once_and_in_order(sqlite_database: Database, seed: int, fake_clock: FakeClock) -> None:
    _simulate(sqlite_database, seed, fake_clock)


@pytest.mark.conformance("Events", "under crashes, duplicates, lost leases and delays every effect happens once and in order")
@pytest.mark.parametrize("seed", range(1000, 1008))
def test_every_effect_happens_once_and_in_order_on_postgresql(postgresql_url: str, seed: int, fake_clock: FakeClock) -> None:
    database = open_database(postgresql_url)
    _simulate(database, seed, fake_clock)
    database.close()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2000, 2050))
def test_every_effect_happens_once_and_in_order_in_long_runs(sqlite_database: Database, seed: int, fake_clock: FakeClock) -> None:
    _simulate(sqlite_database, seed, fake_clock, steps=150)
