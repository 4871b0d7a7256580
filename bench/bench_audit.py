"""What auditing costs: reads and creates through the door with and without it in turns, sealing, searching, verification, proofs.

Run: python -m bench.bench_audit [--seconds 2] [--records 100000] [--threads 16] [--database URL]
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
from pathlib import Path

import click

from bench.bench_fhir import CREATE
from bench.bench_kernel import line, repeat
from bench.fhir_app import OPERATOR, NoAudit, open_tables
from bench.machine import fdatasyncs_per_second, machine
from chartloop.kernel import clock
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.index import Wanted, find
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.proving import prove_growth, prove_record
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.verify import verify
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.keys import signing_key
from chartloop.kernel.outbox import Outbox
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository

ROUNDS = 3
NURSE = Subject("user:1", "clinician", "Practitioner/1", scopes=("system/*.cruds",))


def door(database: Database, audit: Audit) -> Repository:
    secret = b"0123456789abcdef"
    return Repository(open_store(database, Access(), audit, Outbox(TableBus(database), secret), LabelService(), secret=secret, base="http://127.0.0.1/fhir"))


def cost(database: Database, data: Path, threads: int, seconds: float) -> None:
    """Compare rates with and without audit, in turns, the sealer at work as in the product."""
    audit, nothing = Audit(data), NoAudit(data)
    doors = {"without": door(database, nothing), "with": door(database, audit)}
    operator = Scope(OPERATOR, "bench", "bench-request")
    for number in range(200):
        doors["with"].update(operator, "Patient", f"p{number}", {"resourceType": "Patient", "id": f"p{number}", "active": True})
    sealer, done = Sealer(database, data, signing_key(data / "keys")), threading.Event()

    def seal() -> None:
        while not done.wait(1.0):
            sealer.seal()

    sealing = threading.Thread(target=seal, daemon=True)
    sealing.start()
    steps = {
        "read": lambda repository: lambda number: repository.read(Scope(NURSE, "read", f"r{number}"), "Patient", f"p{number % 200}"),
        "create": lambda repository: lambda number: repository.create(Scope(OPERATOR, "create", f"c{number}"), CREATE, type_="Observation"),
    }
    for name, step in steps.items():
        rates: dict[str, list[float]] = {"without": [], "with": []}
        for turn in range(ROUNDS * 2):
            which = ("without", "with")[turn % 2]
            rate, ms = repeat(threads, seconds, step(doors[which]))
            rates[which].append(rate)
            line(f"{name}, {threads} threads, {which} audit", rate, ms)
        ratio = statistics.median(rates["with"]) / statistics.median(rates["without"])
        click.echo(f"{name}: {ratio:.2f} of the rate without audit")
    done.set()
    sealing.join()
    audit.close()


def log(database: Database, data: Path, records: int) -> None:
    """Seal many records; search, verify and prove over them."""
    audit = Audit(data)
    for start in range(0, records, 1000):
        audit.access(*(AuditRecord("R", "read", "0", NURSE, (f"Patient/p{n % 5000}/_history/1",), (f"Patient/p{n % 5000}",), request=f"r{n}") for n in range(start, start + 1000)))
    audit.close()
    sealer = Sealer(database, data, signing_key(data / "keys"))
    took, sealed = timed(sealer.seal)
    click.echo(f"seal and index: {sealed / took:,.0f} records/s ({sealed:,})")
    directory = audit_directory(data)
    with database.read() as session:
        sizes = [int(size) for (size,) in session.all("SELECT size FROM audit_head ORDER BY size")]
        for name, wanted in (("patient", Wanted(patients=("Patient/p7",))), ("entity", Wanted(entities=("Patient/p7",))), ("agent", Wanted(agents=("Practitioner/1",)))):
            took, found = timed(lambda wanted=wanted: find(session, wanted, limit=51))  # type: ignore[misc]
            click.echo(f"find a page by {name} among {sizes[-1]:,}: {took * 1000:.2f} ms ({len(found)} found)")
        took, proof = timed(lambda: prove_record(session, directory, sizes[-1] // 2, None, ""))
        click.echo(f"inclusion proof under {sizes[-1]:,}: {took * 1000:,.0f} ms, {len(proof['path'])} hashes, {len(json.dumps(proof)):,} bytes with the record")
        took, proof = timed(lambda: prove_growth(session, sizes[0], None, ""))
        click.echo(f"consistency proof {sizes[0]:,} to {sizes[-1]:,}: {took * 1000:,.0f} ms, {len(proof['path'])} hashes, {len(json.dumps(proof)):,} bytes")
    took, report = timed(lambda: verify(database, data))
    click.echo(f"verify: {report.sealed / took:,.0f} records/s ({report.sealed:,}, {'holds' if report.ok else report.problems})")
    size = sum(file.stat().st_size for file in directory.glob("journal-*.log"))
    click.echo(f"journal: {size / report.sealed:,.0f} B a record")


def timed(work):  # type: ignore[no-untyped-def]
    start = clock.perf_s()
    found = work()
    return clock.perf_s() - start, found


@click.command()
@click.option("--seconds", default=2.0, show_default=True)
@click.option("--records", default=100_000, show_default=True)
@click.option("--threads", default=16, show_default=True)
@click.option("--database", "url", default="", help="postgresql://… of an empty database; without it new SQLite files.")
def main(seconds: float, records: int, threads: int, url: str) -> None:
    """Run all of it and print the figures."""
    click.echo(f"{machine()}; disk {fdatasyncs_per_second():.0f} fdatasync/s")
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        database = open_tables(url or f"sqlite:///{data / 'cost.sqlite3'}")
        cost(database, data / "cost", threads, seconds)
        database.close()
        database = open_tables(f"sqlite:///{data / 'log.sqlite3'}")
        log(database, data / "log", records)
        database.close()


if __name__ == "__main__":
    main()
