"""Measure the floor the store stands on: the disk, the audit journal, reads beside writes, group commit, sealing, verification.

Run: python -m bench.bench_kernel [--seconds 2] [--data DIR] [--database URL]
"""

import os
import platform
import statistics
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import click

from chartloop.kernel import clock
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.verify import verify
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, Tx, create_tables, open_database
from chartloop.kernel.keys import signing_key
from chartloop.kernel.outbox import Outbox

BODY = b"x" * 2400
ROWS = 2000
RECORD = AuditRecord("R", "read", "0", Subject("user:1", "any", "Practitioner/1"), ("Patient/1",), ("Patient/1",), request="r" * 36)
Step = Callable[[int], None]


def processor() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def repeat(threads: int, seconds: float, step: Step) -> tuple[float, list[float]]:
    """Run a step in many threads; return how many a second, and each one's milliseconds in order."""
    times: list[list[float]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads + 1)
    stopping = threading.Event()

    def loop(thread: int) -> None:
        mine = times[thread]
        start.wait()
        while not stopping.is_set():
            before = clock.perf_s()
            step(thread * 1_000_000 + len(mine))
            mine.append((clock.perf_s() - before) * 1000)

    running = [threading.Thread(target=loop, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    start.wait()
    begun = clock.perf_s()
    stopping.wait(seconds)
    stopping.set()
    for thread in running:
        thread.join()
    took = clock.perf_s() - begun
    merged = sorted(ms for each in times for ms in each)
    return len(merged) / took, merged


def line(name: str, rate: float, ms: list[float], remark: str = "") -> None:
    """Print one figure."""
    p50, p99 = statistics.median(ms), ms[int(len(ms) * 0.99)]
    click.echo(f"{name:<58} {rate:>10,.0f}/s  p50 {p50:>8.3f} ms  p99 {p99:>8.3f} ms  max {ms[-1]:>8.1f} ms  n={len(ms):,} {remark}")


def bench_disk(data: Path, seconds: float) -> None:
    """Measure appends of 512 bytes, each with fdatasync."""
    file = os.open(data / "disk.bin", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def step(_: int) -> None:
        os.write(file, BODY[:512])
        os.fdatasync(file)

    line("disk: append 512 B and fdatasync", *repeat(1, seconds, step))
    os.close(file)


def bench_journal(data: Path, seconds: float) -> None:
    """Measure durable audit records."""
    audit = Audit(data)
    for threads in (1, 16, 32):
        line(f"audit: durable access records, {threads} threads", *repeat(threads, seconds, lambda _: audit.access(RECORD)))
    audit.close()


def bench_reads(database: Database, data: Path, seconds: float) -> None:
    """Measure reads by key, alone, with durable audit, and beside a write that holds the store."""
    audit = Audit(data)

    def read(number: int) -> None:
        with database.read() as session:
            session.one("SELECT body FROM bench_resource WHERE id = ?", (number * 7919 % ROWS,))

    def audited(number: int) -> None:
        read(number)
        audit.access(RECORD)

    line("read by key, no audit, 1 thread", *repeat(1, seconds, read))
    line("read by key, no audit, 32 threads", *repeat(32, seconds, read))
    line("read by key, durable audit, 32 threads", *repeat(32, seconds, audited))
    stopping = threading.Event()
    writes: list[float] = []

    def long_writes() -> None:
        while not stopping.is_set():
            before = clock.perf_s()
            database.write(lambda tx, until_s=before + 1: _import(tx, until_s))  # type: ignore[misc]
            writes.append(clock.perf_s() - before)

    writer = threading.Thread(target=long_writes)
    writer.start()
    rate, ms = repeat(32, max(seconds, 3), audited)
    stopping.set()
    writer.join()
    line("read by key, durable audit, 32 threads, beside 1 s writes", rate, ms, f"(write transactions took {max(writes):.1f} s at most)")
    audit.close()


def _import(tx: Tx, until_s: float) -> None:
    while clock.perf_s() < until_s:
        tx.many("INSERT INTO bench_import (body) VALUES (?)", [(BODY,)] * 50)


def bench_writes(database: Database, data: Path, seconds: float) -> None:
    """Measure durable transactions: a resource, two index rows, an audit row and an event."""
    audit, outbox = Audit(data), Outbox(TableBus(database), b"secret")

    def write(number: int) -> None:
        def work(tx: Tx) -> None:
            tx.run("INSERT INTO bench_import (body) VALUES (?)", (BODY,))
            outbox.publish(tx, "ResourceCreated", f"Observation/{number}", key=f"Patient/{number % 100}")
            audit.change(tx, RECORD)

        database.write(work)

    for threads in (1, 16, 32):
        line(f"write: row + event + audit, durable, {threads} threads", *repeat(threads, seconds, write))


def bench_sealing(database: Database, data: Path) -> None:
    """Measure sealing and verification of everything recorded so far."""
    sealer = Sealer(database, data, signing_key(data / "keys"))
    before = clock.perf_s()
    sealed = sealer.seal()
    took = clock.perf_s() - before
    click.echo(f"{'audit: sealed into signed heads':<58} {sealed / took:>10,.0f}/s  n={sealed:,}")
    before = clock.perf_s()
    report = verify(database, data)
    took = clock.perf_s() - before
    click.echo(f"{'audit: verified':<58} {report.sealed / took:>10,.0f}/s  n={report.sealed:,} ok={report.ok}")


def _prepare(database: Database) -> None:
    number = "INTEGER PRIMARY KEY" if database.dialect == "sqlite" else "BIGSERIAL PRIMARY KEY"
    blob = "BLOB" if database.dialect == "sqlite" else "BYTEA"
    for table in ("bench_resource", "bench_import"):
        database.write(lambda tx, table=table: tx.run(f"CREATE TABLE IF NOT EXISTS {table} (id {number}, body {blob})"))  # type: ignore[misc]
    rows = [(n, BODY) for n in range(ROWS)]
    database.write(lambda tx: tx.many("INSERT INTO bench_resource (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING", rows))


@click.command()
@click.option("--seconds", default=2.0, help="Time for each figure.")
@click.option("--data", type=click.Path(path_type=Path), help="Directory on the disk to measure; a temporary one without it.")
@click.option("--database", "url", default="", help="Database URL; SQLite in the directory without it.")
def main(seconds: float, data: Path | None, url: str) -> None:
    """Measure the kernel on this machine."""
    directory = data or Path(tempfile.mkdtemp(prefix="chartloop-bench-"))
    directory.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    click.echo(f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {clock.iso(clock.now_us())}, load {load:.1f}")
    click.echo(f"python -m bench.bench_kernel --seconds {seconds} (no seed: nothing is random)")
    database = open_database(url or f"sqlite:///{directory / 'bench.sqlite3'}")
    create_tables(database)
    _prepare(database)
    bench_disk(directory, seconds)
    bench_journal(directory, seconds)
    bench_reads(database, directory, seconds)
    bench_writes(database, directory, seconds)
    bench_sealing(database, directory)
    database.close()


if __name__ == "__main__":
    main()
