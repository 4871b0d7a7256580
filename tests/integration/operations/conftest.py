"""A house in which events were given up, held and handled, and jobs were run."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from chartloop.app import open_kernel
from chartloop.engines import groups
from chartloop.kernel import clock, signals
from chartloop.kernel.broker import Failure
from chartloop.kernel.config import load_settings
from chartloop.kernel.jobs.runner import Job, JobRunner
from chartloop.kernel.jobs.schedule import Daily, Every
from claims.control_numbers import set_count
from claims.interchange_store import QUEUED, add_interchange
from claims.payers.breaker import Breakers
from claims.payers.gates import SENDING
from claims.payers.limits import limits_of
from tests.integration.audit.conftest import House
from tests.unit.kernel.consumers import eventually


def fails() -> None:
    raise OSError("Müller, Anna 1980-02-03")


class Operated(House):
    """What an operator finds at night."""

    def give_up(self, subject: str, type_: str = "ResourceUpdated", consumer: str = "predictions") -> str:
        """Let a consumer give up one event; return the id of the dead letter."""
        group = {group.name: group for group in groups()}[consumer]
        self.kernel.bus.subscribe(group)
        self.kernel.database.write(lambda tx: self.kernel.outbox.publish(tx, type_, subject, key=f"key of {subject}"))
        while True:
            for lease in self.kernel.bus.lease("test", {consumer: 100}, 30):
                for delivery in self.kernel.bus.deliveries(lease, 10):
                    self.kernel.bus.nack(lease, Failure(delivery, "OSError in 8 attempts", None))
                self.kernel.bus.release(lease)
            if letters := [letter.id for letter in self.kernel.dead_letters.list() if letter.subject == subject]:
                return letters[0]

    def lives(self) -> None:
        """Let a worker say that it lives: that is quoted for half a minute only."""
        self.kernel.database.write(lambda tx: signals.tell(tx, "worker", signals.WORKERS, {"": 1}))

    def hold(self, subject: str, consumer: str = "predictions") -> None:
        """Let a consumer fail on an event that is tried again in an hour."""
        self.kernel.database.write(lambda tx: self.kernel.outbox.publish(tx, "ResourceUpdated", subject, key=f"key of {subject}"))
        for lease in self.kernel.bus.lease("test", {consumer: 100}, 30):
            for delivery in self.kernel.bus.deliveries(lease, 10):
                self.kernel.bus.nack(lease, Failure(delivery, "OSError", 3600.0))
            self.kernel.bus.release(lease)


@pytest.fixture(scope="package")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A house that all these tests share: a payer rests, a job failed, another went well. It has four threads: one body of a kind may come slowly."""
    with open_kernel(load_settings({"data": tmp_path_factory.mktemp("operated"), "server.threads": 4})) as kernel:
        yield from _operated(Operated(kernel))


def _operated(found: Operated) -> Iterator[Operated]:
    database = found.kernel.database
    nightly = Daily(3, 10, ZoneInfo("Europe/Berlin"))
    runner = JobRunner(database, [Job("claims-drafts", Every(3600.0), lambda: None), Job("telemetry", Every(3600.0), fails), Job("forget-audit", nightly, lambda: None)])
    runner.tick()
    database.write(lambda tx: tx.run("UPDATE job SET next_run = 0 WHERE name <> 'forget-audit'"))
    runner.tick()
    assert eventually(lambda: not runner.running())

    def tell(tx) -> None:
        signals.add(tx, signals.RETRIED, {"predictions": 7})

    database.write(tell)
    _call_payers(found)
    yield found
    runner.close(1)


def _call_payers(found: Operated) -> None:
    """P1 is well, P2 rests after failures, and P3's rest is over."""
    database, limits = found.kernel.database, limits_of(found.kernel.settings.claims)
    for number, payer in enumerate(("P1", "P2", "P3"), 1):
        database.write(lambda tx, payer=payer, number=number: add_interchange(tx, "out", payer, str(number), "1", "837P", QUEUED, f"key/{number}", b"ISA"))
    breakers = Breakers(database, limits)
    for payer in ("P2", "P3"):
        for _ in range(limits(payer).failures):
            breakers.failed(payer, SENDING)
    long = clock.now_us() + round(limits("P2").rest_max_s * 0.95e6)  # a first rest would be over before the last of these tests
    database.write(lambda tx: set_count(tx, f"payer/{SENDING}/rests-until/P2", long))
    database.write(lambda tx: set_count(tx, f"payer/{SENDING}/rests-until/P3", 0))
