"""What only a bus over a broker can do wrong: outages, rebalances, crashes between two stores, moving there and back."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer

from chartloop.cli.main import chartloop
from chartloop.kernel import clock
from chartloop.kernel.broker import LeaseLost
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.events import Event
from chartloop.kernel.retention import forget_events
from chartloop.kernel.streams.address import address_of
from chartloop.kernel.streams.bus import StreamBus
from chartloop.kernel.streams.leader import Leader
from chartloop.kernel.streams.opening import client_settings, open_stream
from chartloop.kernel.streams.positions import RELAY, forget
from chartloop.kernel.streams.relay import BATCH, Relay
from chartloop.kernel.worker import Permanent
from tests.unit.kernel.consumers import eventually

from .brokers import Broker, Wire
from .world import EFFECTS, PACE, Effects, World, settings_for

KEYS = [f"Patient/{number}" for number in range(6)]
on_brokers = pytest.mark.parametrize("world", [pytest.param("kafka sqlite", marks=pytest.mark.long), "kinesis sqlite"], indirect=True)
on_kafka = pytest.mark.parametrize("world", ["kafka sqlite"], indirect=True)


def publish_rounds(world: World, bus: TableBus, rounds: range, each: int = 5) -> None:
    for number in rounds:
        for key in KEYS:
            world.publish(bus, *(f"{key}/{number * each + n}" for n in range(each)), key=key)


def assert_each_once_and_in_order(world: World, count: int) -> None:
    assert sorted(world.effects().values()) == sorted([f"{key}/{n}" for n in range(count)] for key in KEYS)


class CrashesAfter:
    """A sink whose process dies when the broker has everything and the store does not know."""

    def __init__(self, real) -> None:
        self._real = real

    def send(self, records: Sequence[object], alive) -> dict[str, int]:
        self._real.send(records, lambda: None)
        raise KeyboardInterrupt

    def close(self) -> None:
        self._real.close()


@pytest.mark.conformance("Events", "a relay that dies between the broker's acknowledgement and its own cursor repeats records, and no effect")
@pytest.mark.conformance("Attacks", "83: a crash between send and mark makes a duplicate whose effect counts once")
@on_brokers
def test_a_relay_that_dies_before_its_cursor_moves_repeats_no_effect(world: World) -> None:
    stream = open_stream(world.settings)
    stream.create()
    publish_rounds(world, world.bus(), range(2))
    leader = Leader(world.database, "relay", "dies", 0.2)
    relay = Relay(world.database, leader, stream, source="/", parts=2, poll_s=0.05)
    assert leader.lead()
    world.database.write(relay._subscribe)
    sink = CrashesAfter(stream.sink(2))
    with pytest.raises(KeyboardInterrupt):
        relay.publish(sink)
    sink.close()
    bus, effects = world.bus(), Effects(world.database)
    worker = world.work(bus, effects)
    publish_rounds(world, bus, range(2, 4))
    assert worker.idle(30)
    assert_each_once_and_in_order(world, 20)


@pytest.mark.conformance("Events", "a relay whose lease was taken over moves no cursor")
@on_kafka
def test_a_relay_that_was_replaced_moves_no_cursor(world: World) -> None:
    stream = open_stream(world.settings)
    stream.create()
    world.publish(world.bus(), "Observation/1")
    old = Leader(world.database, "relay", "old", 0.001)
    relay = Relay(world.database, old, stream, source="/", parts=2, poll_s=0.05)
    assert old.lead()
    world.database.write(relay._subscribe)
    assert eventually(Leader(world.database, "relay", "new", 30).lead)
    sink = stream.sink(2)
    with pytest.raises(LeaseLost):
        relay.publish(sink)
    sink.close()
    assert world.database.one("SELECT xid, seq FROM event_cursor WHERE consumer = ?", (RELAY,)) == (-1, 0)


@pytest.mark.long
@pytest.mark.conformance("Events", "moving from the table bus to Kafka and back loses nothing, and hands no event to a consumer twice")
@pytest.mark.parametrize("world", ["kafka postgresql"], indirect=True)
def test_moving_to_kafka_and_back_hands_each_event_over_once(world: World) -> None:
    effects = Effects(world.database)

    def live(bus, rounds: range) -> None:
        worker = world.work(bus, effects)
        publish_rounds(world, bus, rounds)
        assert worker.idle(30)
        world.close()

    live(TableBus(world.database), range(2))
    publish_rounds(world, TableBus(world.database), range(2, 3))  # while nobody works
    live(world.bus(), range(3, 5))
    publish_rounds(world, TableBus(world.database), range(5, 6))
    world.database.write(forget)
    live(TableBus(world.database), range(6, 7))
    live(world.bus(), range(7, 8))
    assert_each_once_and_in_order(world, 40)
    assert len(effects.calls) == len(set(effects.calls)) == 40 * len(KEYS)


@pytest.mark.long
@pytest.mark.conformance("Events", "the outbox keeps what the relay has not published, and forgets it when every consumer has it")
@on_kafka
def test_the_outbox_keeps_what_was_not_published(world: World) -> None:
    bus = world.bus()
    worker = world.work(bus, Effects(world.database))
    world.publish(bus, "Observation/1")
    assert worker.idle(20)
    world.close()
    world.publish(bus, "Observation/2")
    clock_before = clock.now_us()
    assert forget_events(world.database, -(clock_before / 1e6)) in (0, 1)
    assert world.database.one("SELECT count(*) FROM event WHERE subject = 'Observation/2'") == (1,)


@pytest.mark.long
@pytest.mark.conformance("Events", "on Kafka a dead letter is told in the dead-letter topic, without its reason")
@on_kafka
def test_a_dead_letter_is_told_in_its_topic(world: World) -> None:
    bus, effects = world.bus(), Effects(world.database)

    def refuse(_event: Event) -> None:
        raise Permanent("NAME OF A PATIENT")

    effects.before = refuse
    worker = world.work(bus, effects)
    world.publish(bus, "Observation/poison")
    assert worker.idle(20)
    [letter] = DeadLetters(world.database, bus).list()
    body = next(read(world, f"{world.settings.bus.topic}-dead-letters"))
    said = json.loads(body)
    assert (said["type"], said["subject"], said["id"]) == ("chartloop.ResourceUpdated", "Observation/poison", letter.event)
    assert (said["consumer"], said["deadletter"], said["attempts"]) == ("effects", letter.id, letter.attempts)
    assert b"NAME OF" not in body


def read(world: World, topic: str) -> Iterator[bytes]:
    """Bodies of a topic as somebody else reads them."""
    client = client_settings(address_of(world.settings.bus.url), world.settings.bus)
    consumer = Consumer({**client, "group.id": f"other-{topic}", "auto.offset.reset": "earliest", "session.timeout.ms": 6000})
    consumer.subscribe([topic])
    try:
        for _ in range(100):
            message = consumer.poll(0.2)
            if message is not None and not message.error():
                assert dict(message.headers() or [])["content-type"] == b"application/cloudevents+json; charset=UTF-8"
                assert json.loads(message.value())["partitionkey"].encode() == message.key()
                yield message.value()
    finally:
        consumer.close()


@pytest.mark.long
@pytest.mark.conformance("Events", "a consumer that is slow is not flooded: fetching pauses while much waits")
@on_brokers
def test_fetching_pauses_while_much_waits(world: World) -> None:
    bus, effects = world.bus(PACE._replace(most_waiting=50)), Effects(world.database)
    publish_rounds(world, bus, range(40))
    stalled = [True]

    def stall(_event: Event) -> None:
        while stalled[0]:
            time.sleep(0.01)

    effects.before = stall
    worker = world.work(bus, effects)
    assert eventually(lambda: _waiting(world) >= 50)
    before = _settled(world)
    assert before < 50 + 2 * 1000  # one fetch from each of two shards beyond the mark
    publish_rounds(world, bus, range(40, 60))
    assert _settled(world) == before
    stalled[0] = False
    assert worker.idle(60)
    assert_each_once_and_in_order(world, 300)


def _settled(world: World) -> int:
    """How many wait when no more came for a second."""
    before = -1
    while (now := _waiting(world)) != before:
        before = now
        time.sleep(1)
    return now


def _waiting(world: World) -> int:
    row = world.database.one("SELECT count(*) FROM delivery")
    return int(row[0]) if row else 0


@pytest.mark.long
@pytest.mark.conformance("Attacks", "86: a rebalance in the middle of a batch, or a broker that is away, loses nothing")
@pytest.mark.conformance("Events", "a broker that goes away for a while loses nothing, repeats no effect, and costs one batch of memory")
@pytest.mark.conformance("Faults", "an absent broker holds events back, and changes are stored all the same")
def test_a_broker_that_goes_away_and_comes_back_loses_nothing(tmp_path) -> None:
    with Wire(0) as wire, Broker(tmp_path / "broker.log", advertised=wire.port) as broker:
        wire.target = broker.port
        world = open_world(tmp_path, broker.url)
        try:
            stream, sinks = open_stream(world.settings), []
            real = stream.sink
            stream.sink = lambda parts: sinks.append(real(parts)) or sinks[-1]
            bus, effects = StreamBus(world.database, stream, PACE), Effects(world.database)
            world.running.append(bus.close)
            worker = world.work(bus, effects)
            publish_rounds(world, bus, range(3))
            assert worker.idle(30)
            wire.cut()
            publish_rounds(world, bus, range(3, 63), each=5)
            assert not worker.idle(1)
            assert_each_once_and_in_order(world, 15)
            assert 0 < max(len(sink._producer) for sink in sinks) <= BATCH < 1800  # what an absent broker costs is a batch, not the backlog
            wire.mend()
            publish_rounds(world, bus, range(63, 65))
            assert worker.idle(60)
            assert_each_once_and_in_order(world, 325)
            wire.cut()
            bus.close()
            assert not [thread for thread in bus._threads.values() if thread.is_alive()], "a stop waits for no broker"
        finally:
            world.close()
            world.database.close()


@pytest.mark.long
@pytest.mark.conformance("Events", "what a topic has lost is taken from the outbox: a broker that comes back empty loses nothing")
def test_a_broker_that_comes_back_empty_loses_nothing(tmp_path) -> None:
    with Broker(tmp_path / "broker.log") as broker:
        world = open_world(tmp_path, broker.url)
        try:
            bus, effects = world.bus(), Effects(world.database)
            worker = world.work(bus, effects)
            publish_rounds(world, bus, range(3))
            assert worker.idle(30)
            worker.stop()
            assert eventually(lambda: bool(publish_rounds(world, bus, range(3, 4)) or _relayed_all(world)))
            world.close()
            broker.stop()
            broker.start()
            bus = world.bus()
            worker = world.work(bus, effects)
            publish_rounds(world, bus, range(4, 5))
            assert worker.idle(60)
            assert_each_once_and_in_order(world, 25)
        finally:
            world.close()
            world.database.close()


def _relayed_all(world: World) -> bool:
    return eventually(lambda: world.database.one("SELECT 1 FROM event e WHERE e.seq > (SELECT seq FROM event_cursor WHERE consumer = 'relay')") is None)


def open_world(tmp_path, url: str, **bus: object) -> World:
    database = open_database(f"sqlite:///{tmp_path / 'chartloop.sqlite3'}")
    create_tables(database)
    create_tables(database, EFFECTS)
    return World(database, settings_for(url, **bus))


@pytest.mark.long
@pytest.mark.conformance("Attacks", "86: a rebalance in the middle of a batch, or a broker that is away, loses nothing")
@pytest.mark.conformance("Events", "a rebalance in the middle of a batch neither loses, repeats nor reorders an effect")
@pytest.mark.parametrize("world", ["kafka postgresql"], indirect=True)
def test_a_rebalance_in_the_middle_of_a_batch_changes_nothing(world: World) -> None:
    (first_bus, first_reads), (second_bus, second_reads) = spied(world), spied(world)
    effects, others = Effects(world.database), Effects(world.database, "effects")
    effects.before = others.before = lambda _event: time.sleep(0.002)
    world.work(first_bus, effects)
    publish_rounds(world, first_bus, range(10))
    assert eventually(lambda: len(world.flat()) > 50, 30)
    second = world.work(second_bus, others)
    rounds = iter(range(10, 100))
    while not (len(first_reads()) == len(second_reads()) == 1):  # partitions move while events flow
        number = next(rounds)
        publish_rounds(world, first_bus, range(number, number + 1))
        time.sleep(0.1)
    first_bus.close()  # and move back
    last = next(rounds)
    publish_rounds(world, second_bus, range(last, last + 10))
    assert second.idle(60)
    assert_each_once_and_in_order(world, (last + 10) * 5)


def spied(world: World):
    """A bus, and a look at the partitions that it reads."""
    stream, sources = open_stream(world.settings), []
    stream.create()
    real = stream.source
    stream.source = lambda *given: sources.append(real(*given)) or sources[-1]
    bus = StreamBus(world.database, stream, PACE)
    world.running.append(bus.close)
    return bus, lambda: sources[-1]._consumer.assignment() if sources else []


class Refusing:
    """A Kinesis client through which some records of a call are refused, as AWS does where a shard is full."""

    def __init__(self, real, seed: int) -> None:
        self._real, self._rng = real, random.Random(seed)

    def put_records(self, **call):
        taken = [record for record in call["Records"] if self._rng.random() > 0.4]
        answers = iter(self._real.put_records(**{**call, "Records": taken})["Records"] if taken else [])
        refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "later"}
        return {"Records": [next(answers) if record in taken else refused for record in call["Records"]]}


@pytest.mark.conformance("Events", "on Kinesis a call that takes some records and refuses others changes the order of no key")
@pytest.mark.parametrize("world", ["kinesis sqlite"], indirect=True)
def test_refused_records_of_a_call_keep_the_order_of_their_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chartloop.kernel.streams.kinesis._BACKOFF_S", (0.001,))
    stream = open_stream(world.settings)
    stream.create()
    real = stream.sink
    stream.sink = lambda parts: refusing(real(parts))
    bus, effects = StreamBus(world.database, stream, PACE), Effects(world.database)
    world.running.append(bus.close)
    publish_rounds(world, bus, range(4))
    worker = world.work(bus, effects)
    assert worker.idle(60)
    assert_each_once_and_in_order(world, 20)
    assert len(effects.calls) == 20 * len(KEYS)


def refusing(sink):
    sink._client = Refusing(sink._client, 1)
    return sink


@pytest.mark.conformance("Events", "a Kinesis shard that is split goes on in its children, in order")
@pytest.mark.parametrize("world", ["kinesis sqlite"], indirect=True)
def test_a_shard_that_is_split_goes_on_in_its_children(world: World) -> None:
    bus, effects = world.bus(), Effects(world.database)
    publish_rounds(world, bus, range(2))
    worker = world.work(bus, effects)
    assert worker.idle(30)
    client, name = open_stream(world.settings)._client, world.settings.bus.url.rpartition("/")[2]
    first = client.list_shards(StreamName=name)["Shards"][0]
    middle = int(first["HashKeyRange"]["EndingHashKey"]) // 2
    client.split_shard(StreamName=name, ShardToSplit=first["ShardId"], NewStartingHashKey=str(middle))
    publish_rounds(world, bus, range(2, 6))
    assert worker.idle(60)
    assert_each_once_and_in_order(world, 30)


@pytest.mark.long
@pytest.mark.conformance("Command line", "`events topic create` makes the topics that are missing, and says which; `leave` refuses while a broker is named")
def test_topics_are_made_by_command(kafka: Broker, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"topic": "made-by-command", **kafka.settings}.items():
        monkeypatch.setenv(f"CHARTLOOP_BUS__{name.upper()}", str(value))

    def run(url: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("CHARTLOOP_BUS__URL", url)
        result = CliRunner().invoke(chartloop, ["events", "topic", *arguments, "--data", str(tmp_path)])
        return result.exit_code, result.output.strip() or str(result.exception)

    assert run(kafka.url, "create") == (0, "made made-by-command, made-by-command-dead-letters")
    assert run(kafka.url, "create") == (0, "every topic is there")
    assert run("table", "create") == (0, "bus.url is table, which needs no topic")
    status, said = run(kafka.url, "leave", "--yes")
    assert (status, "set it to table first" in said) == (1, True)
    assert run("table", "leave", "--yes") == (0, "the topic is forgotten")
