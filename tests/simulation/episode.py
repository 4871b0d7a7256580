"""One episode: two workers, a publisher, an operator, a clock that jumps, and a seed that decides who does what, and what fails."""

import random
from contextlib import suppress
from functools import cache
from pathlib import Path

from chartloop.kernel.access.engine import Access
from chartloop.kernel.broker import Group, Lease, LeaseLost
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.errors import ChartloopError
from chartloop.kernel.outbox import Outbox, ordering_key
from chartloop.kernel.retention import forget_events
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Consumer, work_off
from claims.interchange_store import QUEUED, add_interchange
from claims.payers.departure import Departure
from claims.payers.gates import Gates
from claims.payers.limits import Limits
from claims.payers.sending import SendingConsumer
from tests.integration.claims.world import PAYER, World
from tests.simulation.consumers import Deferring, Effects, LeasedBus, Poisoned, Projecting, Writing
from tests.simulation.faults import Crash, FaultyDatabase
from tests.simulation.model import Broken, Model
from tests.simulation.payer import Outside

SETTINGS = WorkerSettings(attempts=1_000_000, backoff_s=1, backoff_max_s=20, batch=5, lease_s=30)
KEYS = tuple(f"Patient/{number}" for number in range(1, 7))
PAYERS = ("P1", "P2")
SECRET = b"secret"
RETENTION_S = 3600.0
ROUNDS = 400


@cache
def policies() -> Access:
    """The policies that ship, read and compiled once: that takes longer than an episode."""
    return Access()


class SimulatedWorker:
    """One worker process, a step at a time: take slots, work on one, keep them, give one back."""

    def __init__(self, episode: "Episode", name: str) -> None:
        self.episode, self.name = episode, name
        self.leases: list[Lease] = []
        self.busy = False
        """Within a step, or starting: what interrupts it then is somebody else's."""
        self.begin()

    def begin(self) -> None:
        """Start the process, as often as it takes."""
        busy, self.busy = self.busy, True
        self._begin()
        self.busy = busy

    def _begin(self) -> None:
        while True:
            self.bus = LeasedBus(self.episode.database, lanes=2)
            try:
                for consumer in self.episode.consumers.values():
                    self.bus.subscribe(Group(consumer.name, consumer.types, consumer.subjects, consumer.isolation))
            except (Crash, ChartloopError):
                continue
            return

    def step(self) -> None:
        """Do one thing; who dies leaves leases behind."""
        if self.busy:
            return
        self.busy = True
        try:
            self._step()
        except (ChartloopError, LeaseLost):
            pass
        except Crash:
            self.episode.zombies += [(self.bus, lease) for lease in self.leases]
            self.leases = []
            self.begin()
        finally:
            self.busy = False

    def _step(self) -> None:
        rng = self.episode.rng
        if not self.leases:
            wanted = {name: 1 if rng.random() < 0.3 else 3 for name in self.episode.consumers}
            self.leases = self.bus.lease(self.name, wanted, SETTINGS.lease_s)
        elif rng.random() < 0.1:
            self.bus.renew(self.leases, SETTINGS.lease_s)
        else:
            self._work(rng.choice(self.leases))

    def _work(self, lease: Lease) -> None:
        more = False
        try:
            more = work_off(self.bus, self.episode.consumers[lease.consumer], lease, SETTINGS, self.episode.rng.random)
        finally:
            if not more and lease in self.leases:
                self.leases.remove(lease)
                with suppress(ChartloopError):
                    self.bus.release(lease)


class Episode:
    """Everything of one seed. The same seed does the same again."""

    def __init__(self, real: Database, directory: Path, seed: str, clock: FakeClock) -> None:
        self.rng = random.Random(seed)
        self.real, self.clock = real, clock
        self.database = FaultyDatabase(real, self.rng)
        self.outside = Outside(self.rng)
        self.poison = frozenset(ordering_key(SECRET, key) for key in KEYS[: self.rng.randint(0, 2)])
        self.world = World(self.database, directory, access=policies())
        self.plain = [Effects(self.database, self.rng), Deferring(self.database, self.rng), Writing(self.database, self.rng, self.world.repository)]
        self.poisoned = Poisoned(self.database, self.rng, self.poison)
        every: list[Consumer] = [*self.plain, self.poisoned, Projecting(self.database), self._sending()]
        self.consumers = {consumer.name: consumer for consumer in every}
        groups = [Group(each.name, each.types, each.subjects, each.isolation) for each in every]
        self.model = Model(groups, frozenset({"effects", "deferring", "writing", "poisoned"}), self.poison)
        self.outbox = Outbox(LeasedBus(self.database, lanes=2), SECRET)
        self.zombies: list[tuple[LeasedBus, Lease]] = []
        self.workers = [SimulatedWorker(self, "first"), SimulatedWorker(self, "second")]
        self.count = self.depth = 0
        self.database.others = self._others
        self.actions = [
            *[self.publish] * 5, *[self.workers[0].step] * 9, *[self.workers[1].step] * 9, self.haunt, self.sleep, self.sleep, self.jump,
            self.operate, self.replay, self.forget, self.restart,
        ]  # fmt: skip

    def _sending(self) -> SendingConsumer:
        limits = Limits(calls_per_s=50, failures=3, rest_s=5, rest_max_s=20, max_age_s=1e9)
        gates = Gates(self.database, lambda _: limits)
        world, outside = self.world, self.outside
        departure = Departure(self.database, world.chart, PAYER)
        return SendingConsumer(self.database, world.chart, world.directory, outside, gates, world.audit, departure, lambda _: limits)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close what was opened beside the database."""
        self.world.audit.close()

    def run(self, steps: int) -> int:
        """Take so many steps, then let everything come to its end; return how many were taken.

        Raises:
            Broken: Something that must be true is not; `at` is the number of the step.
        """
        for number in range(1, steps + 1):
            self.database.danger = self.rng.choice((0.0, 0.0, 0.02, 0.15))
            self._checked(number, self.rng.choice(self.actions))
        self._checked(steps, self.drain)
        return steps

    def _checked(self, number: int, action: object) -> None:
        try:
            action()  # type: ignore[operator]
            self.model.check(self.real, self.outside.taken)
        except Exception as error:
            error.at = number  # type: ignore[attr-defined]
            raise

    def _others(self) -> None:
        """Somebody else's turn, between two statements of whoever works: now and then, and not for ever."""
        if self.depth < 2 and self.database.danger and self.rng.random() < 0.04:
            self.depth += 1
            self.rng.choice((self.sleep, self.publish, self.workers[0].step, self.workers[1].step, self.jump, self.haunt))()
            self.depth -= 1

    # what happens

    def publish(self) -> None:
        """Change something and tell of it, in one transaction that may not come to its end."""
        key, aborted = self.rng.choice(KEYS), self.rng.random() < 0.15
        told = [self._told(key) for _ in range(self.rng.randint(1, 3))]

        def work(tx: Tx) -> None:
            for type_, subject in told:
                self._tell(tx, type_, subject, key)
            if aborted:
                raise KeyError

        with suppress(KeyError, ChartloopError, Crash):
            self.database.write(work)

    def _told(self, key: str) -> tuple[str, str]:
        self.count += 1
        chance = self.rng.random()
        if chance < 0.08:
            return "MessageReceived", f"hl7-message/{self.count}"
        if chance < 0.16:
            return "InterchangeQueued", f"{self.rng.choice(PAYERS)}/{self.count}"
        return "ResourceUpdated", f"{self.rng.choice(('Observation', 'Condition', 'Claim'))}/{key[-1]}{self.rng.randint(1, 3)}"

    def _tell(self, tx: Tx, type_: str, subject: str, key: str) -> None:
        if type_ == "InterchangeQueued":
            payer, _, number = subject.partition("/")
            row = add_interchange(tx, "out", payer, f"{int(number):09}", number, "837P", QUEUED, f"{payer}/{number}", b"ISA")
            self.outbox.publish(tx, type_, f"interchange/{row}", key=f"payer/{payer}")
            return
        if type_ == "ResourceUpdated":
            tx.run(
                "INSERT INTO sim_thing (subject, key, version) VALUES (?, ?, 1) ON CONFLICT (subject) DO UPDATE SET version = sim_thing.version + 1",
                (subject, ordering_key(SECRET, key)),
            )
        self.outbox.publish(tx, type_, subject, key=key)

    def haunt(self) -> None:
        """A worker that was believed dead goes on under its old lease."""
        if self.zombies:
            bus, lease = self.rng.choice(self.zombies)
            with suppress(LeaseLost, Crash, ChartloopError):
                work_off(bus, self.consumers[lease.consumer], lease, SETTINGS, self.rng.random)

    def sleep(self) -> None:
        """Time passes; often enough for leases to run out."""
        self.clock.advance(self.rng.choice((0.5, 5, 45)))

    def jump(self) -> None:
        """Somebody sets the clock."""
        self.clock.jump(self.rng.choice((-600, -60, -5, 5, 60, 7200)))

    def operate(self) -> None:
        """An operator decides on dead letters."""
        letters = DeadLetters(self.database, self.workers[0].bus)
        with suppress(ChartloopError, Crash):
            for letter in letters.list():
                if self.rng.random() < 0.7:
                    letters.retry(letter.id)
                else:
                    self._drop(letters, letter.id)

    def _drop(self, letters: DeadLetters, id_: str) -> None:
        letter = letters.show(id_)
        try:
            letters.drop(id_)
        finally:
            with self.real.read() as session:
                if session.one("SELECT 1 FROM dead_letter WHERE id = ?", (id_,)) is None:
                    self.model.check(self.real, self.outside.taken)
                    self.model.dropped(letter.consumer, letter.key, letter.event)

    def replay(self) -> None:
        """What is derived is derived again from some moment on."""
        with suppress(ChartloopError, Crash):
            self.workers[0].bus.replay("projecting", self.clock.now_us() - self.rng.choice((10, 1000)) * 1_000_000)

    def forget(self) -> None:
        """Events and marks that are old enough are deleted."""
        with suppress(ChartloopError, Crash):
            forget_events(self.database, RETENTION_S)

    def restart(self) -> None:
        """Everything stops; one process starts alone and takes every slot over."""
        for worker in self.workers:
            self.zombies += [(worker.bus, lease) for lease in worker.leases]
            worker.leases = []
            worker.begin()
        with suppress(ChartloopError, Crash):
            self.workers[0].bus.take_over()

    # the end

    def drain(self) -> None:
        """Nothing fails any more: everything comes to its end, and what is derived anew is the same."""
        self.database.danger = self.outside.trouble = 0.0
        self.poisoned.keys = frozenset()
        for consumer in (*self.plain, self.poisoned):
            consumer.trouble = 0.0
        self._until_idle()
        self.model.check(self.real, self.outside.taken)
        self.model.finished(self.real)
        with self.real.read() as session:
            kept = session.one("SELECT count(*) FROM event WHERE type = 'ResourceUpdated'")
        if kept == (sum(self.model.changes.values()),):
            self.real.write(lambda tx: tx.run("DELETE FROM sim_projection"))
            self.workers[0].bus.replay("projecting", 0)
            self._until_idle()
            self.model.derived(self.real)

    def _until_idle(self) -> None:
        letters = DeadLetters(self.real, self.workers[0].bus)
        for _ in range(ROUNDS):
            for letter in letters.list():
                letters.retry(letter.id)
            for worker in self.workers:
                worker.step()
                while worker.leases:
                    worker.step()
            self.clock.advance(20)
            if self.workers[0].bus.pending() == 0 and not letters.list():
                return
        raise Broken("something still waits after a long time without faults")
