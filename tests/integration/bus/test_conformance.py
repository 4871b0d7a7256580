"""What every bus promises, on every bus: the same tests over the tables, the memory, Kafka and Kinesis."""

import pytest

from chartloop.kernel.broker import AlreadyHandled, Group, LeaseLost
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later, Permanent
from tests.unit.kernel.consumers import eventually

from .world import Effects, World

SHORT = ["table sqlite", "table postgresql", "memory sqlite", "kinesis sqlite"]
LONG = ["kafka sqlite", "kafka postgresql", "kinesis postgresql"]
"""A broker lets the first member of a group wait 3 s for others: one test of this file meets Kafka in the short run."""


def buses(*short: str, durable: bool = False) -> pytest.MarkDecorator:
    """Every bus; those that take long in the long run alone, but for the ones named."""
    names = [name for name in [*SHORT, *LONG] if not (durable and name.startswith("memory"))]
    return pytest.mark.parametrize("world", [pytest.param(name, marks=[pytest.mark.long] if name in LONG and name not in short else []) for name in names], indirect=True)


@pytest.mark.long
@pytest.mark.conformance("Events", "events of one key come in their order on every adapter (tables, memory, Kafka, Kinesis)")
@pytest.mark.conformance("Events", "a replay delivers again on every adapter, and what counted once counts again only then")
@buses("kafka sqlite")
def test_events_of_a_key_come_in_their_order_and_again_when_replayed(world: World) -> None:
    bus, effects = world.bus(), Effects(world.database)
    worker = world.work(bus, effects)
    for number in range(0, 20, 2):
        for key in ("Patient/1", "Patient/2", "Patient/3"):
            world.publish(bus, f"{key}/{number}", f"{key}/{number + 1}", key=key)
    assert worker.idle(20)
    expected = sorted([f"{key}/{number}" for number in range(20)] for key in ("Patient/1", "Patient/2", "Patient/3"))
    assert sorted(world.effects().values()) == expected
    assert bus.replay("effects", 0) == 60
    assert worker.idle(20)
    assert sorted(world.effects().values()) == [subjects * 2 for subjects in expected]


@pytest.mark.conformance("Events", "on every adapter a dead letter parks its own key only; retried, the key goes on in order")
@buses(durable=True)
def test_a_dead_letter_parks_its_own_key_only(world: World) -> None:
    bus, effects = world.bus(), Effects(world.database)
    effects.before = _poison
    worker = world.work(bus, effects)
    world.publish(bus, "Observation/1", "Observation/poison", "Observation/waits")
    world.publish(bus, "Observation/other", key="Patient/2")
    assert worker.idle(20)
    assert sorted(world.flat()) == ["Observation/1", "Observation/other"]
    [letter] = DeadLetters(world.database, bus).list()
    assert (letter.subject, letter.reason) == ("Observation/poison", "it is poison")
    effects.before = lambda _event: None
    DeadLetters(world.database, bus).retry(letter.id)
    assert eventually(lambda: ["Observation/1", "Observation/poison", "Observation/waits"] in world.effects().values())


def _poison(event: Event) -> None:
    if event.subject == "Observation/poison":
        raise Permanent("it is poison")


@pytest.mark.conformance("Events", "on every adapter Later and a passing failure hold their own key, and the order stays")
@buses()
def test_what_comes_later_and_what_fails_once_keep_the_order(world: World) -> None:
    bus, effects = world.bus(), Effects(world.database)
    answers = iter([Later(0.05), Later(0.05), Later(0.05), Later(0.05), OSError("it passes")])

    def refuse(event: Event) -> None:
        error = next(answers, None) if event.subject == "Observation/2" else None
        if error:
            raise error

    effects.before = refuse
    worker = world.work(bus, effects)
    world.publish(bus, "Observation/1", "Observation/2", "Observation/3")
    assert worker.idle(20)
    assert world.flat() == ["Observation/1", "Observation/2", "Observation/3"]


@pytest.mark.conformance("Events", "on every adapter a worker whose lease ran out is refused, and what it did counts once")
@buses()
def test_a_worker_whose_lease_ran_out_is_refused_and_its_effect_counts_once(world: World, fake_clock: FakeClock) -> None:
    bus, effects = world.bus(), Effects(world.database)
    bus.subscribe(Group("effects", effects.types))
    world.publish(bus, "Observation/1", "Observation/2")
    [old] = _leases(bus, "first")
    first, second = bus.deliveries(old, 10)
    effects.handle(first.event, bus.once(old, first.event))
    fake_clock.advance(31)  # it stalls: its effect is there, its acknowledgement is not
    [new] = _leases(bus, "second")
    assert new.token > old.token
    with pytest.raises(LeaseLost):
        bus.ack(old, [first])
    with pytest.raises(LeaseLost):
        effects.handle(second.event, bus.once(old, second.event))
    again = bus.deliveries(new, 10)
    assert [each.event.subject for each in again] == ["Observation/1", "Observation/2"]
    with pytest.raises(AlreadyHandled):
        effects.handle(again[0].event, bus.once(new, again[0].event))
    effects.handle(again[1].event, bus.once(new, again[1].event))
    bus.ack(new, again)
    assert world.flat() == ["Observation/1", "Observation/2"]
    assert eventually(lambda: bus.pending() == 0)


def _leases(bus, owner):
    found = []
    assert eventually(lambda: bool(found.extend(bus.lease(owner, {"effects": 1}, 30)) or found))
    assert eventually(lambda: len(bus.deliveries(found[0], 10)) == 2)
    return found
