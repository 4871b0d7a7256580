"""How long the consumers take to catch up after an outage: `python -m bench.bench_outage [--events N] [--database URL] [--data DIR]`.

100,000 events are published, as they would be in ten minutes in which no consumer ran (the clock is moved, nobody waits); then a worker starts.
One consumer has an effect on every event in the transaction that marks it; a second derives a row per patient and looks only at the last event of many.
"""

import os
import tempfile
import time
from pathlib import Path

import click

from bench.machine import fdatasyncs_per_second, machine
from chartloop.kernel import clock
from chartloop.kernel.broker import Once
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import SystemClock, set_clock
from chartloop.kernel.db import Database, Tx, create_tables, open_database
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Worker

OUTAGE_S, PATIENTS, BATCH = 600.0, 2_000, 500


class ShiftedClock(SystemClock):
    """The machine's clock, some time ago."""

    def __init__(self) -> None:
        self.behind_s = 0.0

    def now_us(self) -> int:
        return super().now_us() - round(self.behind_s * 1e6)


class Effecting:
    """A row for every event, marked in the same transaction."""

    name = "effecting"
    types: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    isolation = "patient"

    def __init__(self, database: Database) -> None:
        self._database = database

    def handle(self, event: Event, once: Once) -> None:
        def effect(tx: Tx) -> None:
            once(tx)
            tx.run("INSERT INTO bench_effect (subject) VALUES (?)", (event.subject,))

        self._database.write(effect)


class Deriving(Effecting):
    """A row for every patient."""

    name = "deriving"
    coalesce = True

    def handle(self, event: Event, once: Once) -> None:
        sql = "INSERT INTO bench_derived (key, version) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET version = bench_derived.version + 1"
        self._database.write(lambda tx: tx.run(sql, (event.key,)))


def publish(database: Database, outbox: Outbox, shifted: ShiftedClock, events: int) -> float:
    """Store the events of the outage, in transactions of many; return the seconds that took."""
    began = clock.perf_s()
    for first in range(0, events, BATCH):
        shifted.behind_s = OUTAGE_S * (1 - first / events)

        def work(tx: Tx, first: int = first) -> None:
            for number in range(first, min(first + BATCH, events)):
                outbox.publish(tx, "ResourceUpdated", f"Observation/{number}", key=f"Patient/{number * 7919 % PATIENTS}")

        database.write(work)
    shifted.behind_s = 0.0
    return clock.perf_s() - began


def prepare(database: Database) -> None:
    """Make empty tables."""
    number = "INTEGER PRIMARY KEY" if database.dialect == "sqlite" else "BIGSERIAL PRIMARY KEY"
    create_tables(database)
    for sql in (f"bench_effect (id {number}, subject TEXT)", "bench_derived (key TEXT PRIMARY KEY, version BIGINT)"):
        database.write(lambda tx, sql=sql: tx.run(f"CREATE TABLE IF NOT EXISTS {sql}"))  # type: ignore[misc]


@click.command()
@click.option("--events", default=100_000, help="Events that wait.")
@click.option("--data", type=click.Path(path_type=Path), help="Directory on the disk to measure; a temporary one without it.")
@click.option("--database", "url", default="", help="An empty database; SQLite in the directory without it.")
def main(events: int, data: Path | None, url: str) -> None:
    """Measure the recovery on this machine."""
    directory = data or Path(tempfile.mkdtemp(prefix="chartloop-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    click.echo(f"{machine()}, {fdatasyncs_per_second(directory=directory):.0f} fdatasync/s, load {os.getloadavg()[0]:.1f}")
    database = open_database(url or f"sqlite:///{directory / 'outage.sqlite3'}")
    prepare(database)
    bus, shifted = TableBus(database), ShiftedClock()
    set_clock(shifted)
    took = publish(database, Outbox(bus, b"secret"), shifted, events)
    click.echo(f"{database.dialect}: {events:,} events of {OUTAGE_S / 60:.0f} minutes for {PATIENTS:,} patients stored in {took:.1f} s")
    worker = Worker(database, bus, [Effecting(database), Deriving(database)], [], WorkerSettings())
    began = clock.perf_s()
    worker.start()
    while bus.pending():
        time.sleep(0.5)
    took = clock.perf_s() - began
    worker.stop()
    with database.read() as session:
        effects, distinct = session.one("SELECT count(*), count(DISTINCT subject) FROM bench_effect") or (0, 0)
        derived = (session.one("SELECT count(*) FROM bench_derived") or (0,))[0]
    click.echo(f"{database.dialect}: caught up in {took:.1f} s, {events / took:,.0f} events/s; effects {effects:,}, distinct {distinct:,}, patients derived {derived:,}")
    database.close()


if __name__ == "__main__":
    main()
