"""How the queues are: lag, depth by state, and the age of what waits; on both databases."""


import pytest

from chartloop.kernel.broker import Failure, Group
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.queues import Hold, Queue, holds, queues


def told(database: Database, bus: TableBus, key: str) -> None:
    database.write(lambda tx: Outbox(bus, b"s").publish(tx, "ResourceUpdated", f"Claim/{key}", key=key))


def now(database: Database) -> list[Queue]:
    with database.read() as session:
        return queues(session)


@pytest.mark.conformance("Operations", "what no worker has looked at yet grows old too; what a dead letter parks waits for a person and does not")
def test_every_state_is_counted_and_what_nobody_looks_at_grows_old(database: Database, fake_clock: FakeClock) -> None:
    bus = TableBus(database)
    for name in ("a", "b"):
        bus.subscribe(Group(name, frozenset({"ResourceUpdated"}), isolation="key"))
    for key in ("ready", "held", "parked"):
        told(database, bus, key)
    fake_clock.advance(10)
    assert [(each.consumer, each.behind, each.age_s) for each in now(database)] == [("a", 3, 10.0), ("b", 3, 10.0)], "no worker runs"
    for lease in bus.lease("me", {"a": 10}, 30):
        [delivery] = bus.deliveries(lease, 10)
        if delivery.event.subject != "Claim/ready":
            bus.nack(lease, Failure(delivery, "OSError", 60.0 if delivery.event.subject == "Claim/held" else None))
    told(database, bus, "held")
    for _ in bus.lease("me", {"a": 10}, 30):
        pass
    fake_clock.advance(5)
    [a, b] = now(database)
    assert (a.behind, a.ready, a.held, a.parked, a.dead) == (0, 1, 2, 1, 1), "the news of the dead letter waits for nobody here"
    assert (b.behind, b.age_s) == (5, 15.0)
    with database.read() as session:
        found = holds(session)
    assert [(hold.consumer, hold.attempt, hold.due is None, hold.waiting) for hold in found] == [("a", 1, False, 2), ("a", 1, True, 1)]
    assert isinstance(found[0], Hold)
