"""What grants cost a read, a page, a total and a write: `python -m bench.bench_grants [--patients N] [--grants N]`."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.machine import machine
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.grant_table import add
from chartloop.kernel.access.grants import CARE, DENIAL, Grant
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from fhir_server import tables as _tables  # noqa: F401  (declares what is made)
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.type_ids import TYPE_IDS

OPERATOR = Scope(Subject("setup", "operator", scopes=("system/*.cruds",)), "setup")
UNNAMED = Scope(Subject("a", "clinician", "", scopes=("system/*.cruds",)), "read")
NAMED = Scope(Subject("b", "clinician", "Practitioner/ada", scopes=("system/*.cruds",), session="s"), "read")
CODE = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}


def timed(name: str, work: Callable[[int], object], count: int) -> None:
    """Print the medians of a piece of work: of the time it took, and of this thread's time on the processor."""
    taken, busy = [], []
    for number in range(count):
        start, begun = time.perf_counter_ns(), time.thread_time_ns()
        work(number)
        taken.append((time.perf_counter_ns() - start) / 1000)
        busy.append((time.thread_time_ns() - begun) / 1000)
    print(f"{name:70} n={count:5}  p50 {statistics.median(taken):9.1f} µs  of it computing {statistics.median(busy):9.1f} µs")


def fill(repository: Repository, patients: int) -> None:
    """Store patients with ten observations each."""
    for number in range(patients):
        subject = {"reference": f"Patient/p{number}"}
        resources = [{"resourceType": "Observation", "id": f"o{number}-{each}", "status": "final", "code": CODE, "subject": subject} for each in range(10)]
        entries = [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in [{"resourceType": "Patient", "id": f"p{number}"}, *resources]]
        repository.transaction(OPERATOR, {"resourceType": "Bundle", "type": "transaction", "entry": entries})


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--grants", type=int, default=100_000)
    chosen = parser.parse_args()
    print(f"{machine()}; {chosen.patients} patients, {chosen.patients * 10} observations, SQLite")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        database = open_database(f"sqlite:///{home / 'store.sqlite3'}")
        create_tables(database)
        audit = Audit(home)
        store = open_store(database, Access(), audit, Outbox(TableBus(database), b"secret"), LabelService(), secret=b"0123456789abcdef", base="http://localhost/fhir")
        repository = Repository(store)
        fill(repository, chosen.patients)
        measure(repository, chosen.patients, "no grant at all", UNNAMED)
        care = [Grant(CARE, f"Patient/p{n}", "Practitioner/ada", source=f"declared/{n}") for n in range(chosen.patients)]
        others = [Grant(CARE, f"Patient/p{n % chosen.patients}", f"Practitioner/{n}", source=f"declared/x{n}") for n in range(chosen.grants)]
        database.write(lambda tx: add(tx, [*care, *others], TYPE_IDS))
        measure(repository, chosen.patients, f"{len(care) + len(others):,} care relations", UNNAMED)
        measure(repository, chosen.patients, "the same, a person with patients of their own", NAMED)
        database.write(lambda tx: add(tx, [Grant(DENIAL, f"Patient/p{n}", "Practitioner/x", source=f"Consent/{n}", node=1) for n in range(chosen.patients)], TYPE_IDS))
        measure(repository, chosen.patients, "the same, and a Consent of every patient", NAMED)
        audit.close()
        database.close()


def measure(repository: Repository, patients: int, name: str, scope: Scope) -> None:
    """Measure one reader."""
    timed(f"read; {name}", lambda n: repository.read(scope, "Observation", f"o{n % patients}-1"), 2000)
    timed(f"search of a patient; {name}", lambda n: repository.search(scope, "Observation", f"patient=p{n % patients}"), 500)
    timed(f"page of 50 patients; {name}", lambda _: repository.search(scope, "Patient", "_count=50"), 100)
    timed(f"total of everything; {name}", lambda _: repository.search(scope, "Observation", "_summary=count"), 20)


if __name__ == "__main__":
    main()
