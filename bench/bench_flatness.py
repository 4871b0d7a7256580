"""The same searches at 1,000, 8,000 and 64,000 patients, over HTTP: `python -m bench.bench_flatness [--sizes 1000,8000,64000] [--database URL]`.

Ratios of medians are what is looked at (HAPI: 1.35 from 1,000 to 64,000); then the plans of the ten slowest.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.bench_fhir import start_server
from bench.fhir_app import OPERATOR, open_tables
from bench.load import drive, request
from bench.machine import machine
from bench.population import CHART, CITIES, CONDITIONS, FAMILIES, GIVEN, VITALS, bundles
from chartloop.kernel import auth
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from fhir_server.interactions.search import permitted_query
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.search.hops import settled
from fhir_server.search.planner import plan
from fhir_server.store import Store

SEED = 7
BASE = "http://127.0.0.1/fhir"
SECRET = b"0123456789abcdef"


def searches(dice: random.Random, patients: int) -> dict[str, Callable[[], str]]:
    """The benchmark set: by name, a query with values drawn anew each time."""
    code = lambda: dice.choice(VITALS)  # noqa: E731
    some = lambda: dice.randrange(patients)  # noqa: E731
    year = lambda: dice.randrange(2006, 2025)  # noqa: E731
    return {
        "patient by identifier": lambda: f"Patient?identifier=urn:mrn%7C{some()}",
        "patient by family name": lambda: f"Patient?family={dice.choice(FAMILIES)}{some()}",
        "patients by given name and birth year": lambda: f"Patient?given={dice.choice(GIVEN)}&birthdate={dice.randrange(1931, 2020)}&_count=20",
        "patients by city and gender": lambda: f"Patient?address-city={dice.choice(CITIES)}&gender=female&_count=20",
        "observations of a patient, newest first": lambda: f"Observation?patient=p{some()}&_sort=-date",
        "observations of a patient by code and date": lambda: f"Observation?patient=p{some()}&code=http://loinc.org%7C{code()[0]}&date=ge{year()}&_count=50",
        "observations by category of a patient": lambda: f"Observation?patient=p{some()}&category=vital-signs&_count=50",
        "observations by code, newest first": lambda: f"Observation?code=http://loinc.org%7C{code()[0]}&_sort=-date&_count=20",
        "observations by code in a month": lambda: f"Observation?code={code()[0]}&date={year()}-0{dice.randrange(1, 10)}&_count=20",
        "observations by code and value": lambda: f"Observation?code=http://loinc.org%7C2339-0&value-quantity=gt{dice.randrange(150, 219)}&_count=20",
        "observations by four codes": lambda: f"Observation?code={','.join(code()[0] for _ in range(4))}&_count=20",
        "conditions by code": lambda: f"Condition?code=http://snomed.info/sct%7C{dice.choice(CONDITIONS)}&_count=20",
        "encounters in a month": lambda: f"Encounter?date={year()}-0{dice.randrange(1, 10)}&_count=20",
        "newest changes": lambda: "Observation?_lastUpdated=gt2020&_sort=-_lastUpdated&_count=20",
        "chain: observations by the patient's identifier": lambda: f"Observation?patient.identifier=urn:mrn%7C{some()}&_count=20",
        "_has: patients with a condition of a patient": lambda: f"Patient?_id=p{some()}&_has:Condition:patient:code=http://snomed.info/sct%7C{dice.choice(CONDITIONS)}",
        "_include: observations with their patient": lambda: f"Observation?code=http://loinc.org%7C{code()[0]}&_include=Observation:patient&_count=20",
        "_revinclude: patient with conditions": lambda: f"Patient?_id=p{some()}&_revinclude=Condition:patient",
        "$everything": lambda: f"Patient/p{some()}/$everything",
    }


def open_door(url: str, home: Path) -> tuple[Database, Store]:
    """The store of this process."""
    database = open_tables(url)
    home.mkdir(exist_ok=True)
    return database, open_store(database, Access(), Audit(home), Outbox(TableBus(database), SECRET), LabelService(), secret=SECRET, base=BASE)


def grow(store: Store, first: int, last: int) -> float:
    """Load charts through the door; returns resources per second."""
    door, scope = Repository(store), Scope(OPERATOR, "load")
    began = time.perf_counter()
    for bundle in bundles(SEED, first, last):
        door.transaction(scope, bundle)
    return (last - first) * CHART / (time.perf_counter() - began)


def measure(url: str, home: Path, token: str, patients: int, seconds: float) -> dict[str, tuple[float, float]]:
    """p50 and p99 of each search, one client, in ms."""
    dice = random.Random(SEED)
    server, port = start_server(url, home, 8)
    measured = {}
    try:
        for name, query in searches(dice, patients).items():

            def asks(query: Callable[[], str] = query) -> Iterator[bytes]:
                while True:
                    yield request("GET", f"/fhir/{query()}", token)

            drive(port, 1, asks, 0.3)
            run = drive(port, 1, asks, seconds)
            if set(run.statuses) != {200}:
                raise RuntimeError(f"{name}: {run.statuses}")
            measured[name] = (run.percentile(0.5), run.percentile(0.99))
    finally:
        server.terminate()
        server.wait()
    return measured


def explain(store: Store, name: str, address: str) -> None:
    """Print the plan that the database makes of a search."""
    type_, _, query = address.partition("?")
    scope = Scope(OPERATOR, "search")
    parsed = permitted_query(store, scope, type_, query.replace("%7C", "|"))
    with store.db.read() as session:
        planned = plan(session, settled(session, store, scope, parsed), store.access.row_filter(scope, type_))
        sql, params = planned.page(None, None, parsed.count + 1)
        rows = session.all(f"{'EXPLAIN QUERY PLAN' if session.dialect == 'sqlite' else 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF)'} {sql}", params)
    print(f"  {name}: driven by {planned.explain}")
    for row in rows:
        print(f"      {str(row[-1])[:180]}")


def index_rows(store: Store) -> int:
    """Rows in all index tables."""
    with store.db.read() as session:
        return sum(int(session.one(f"SELECT count(*) FROM {table}", ())[0]) for table in ("idx_token", "idx_reference", "idx_string", "idx_date", "idx_quantity"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,8000,64000")
    parser.add_argument("--database", default="")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each search at each size")
    parser.add_argument("--directory", type=Path)
    said = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="chartloop-flat-", dir=said.directory))
    url = said.database or f"sqlite:///{home / 'bench.sqlite3'}"
    print(f"python -m bench.bench_flatness {' '.join(sys.argv[1:])}; seed {SEED}; {machine()}; {'PostgreSQL' if said.database else 'SQLite'}; load average {os.getloadavg()[0]:.1f}")
    database, store = open_door(url, home / "loader")
    token = database.write(lambda tx: auth.issue(tx, OPERATOR, 360_000))
    results, before = [], 0
    sizes = [int(size) for size in said.sizes.split(",")]
    for size in sizes:
        rate = grow(store, before, size)
        if said.database:
            database.write(lambda tx: tx.run("ANALYZE"))  # what autovacuum does a minute later
        before = size
        print(f"{size} patients: {size * CHART} resources, {index_rows(store):,} index rows; the last ones through the door in process at {rate:,.0f} resources/s", flush=True)
        results.append(measure(url, home / "server", token, size, said.seconds))
    print(f"{'p50 (p99) in ms':52}{''.join(f'{size:>18,}' for size in sizes)}   growth")
    for name in results[0]:
        print(f"{name:52}{''.join(f'{each[name][0]:9.2f} ({each[name][1]:6.1f})' for each in results)}   {results[-1][name][0] / results[0][name][0]:.2f}")
    dice = random.Random(SEED)
    queries = searches(dice, sizes[-1])
    print("plans of the ten slowest:")
    for name in sorted((each for each in results[-1] if "$" not in each), key=lambda each: -results[-1][each][0])[:10]:
        explain(store, name, queries[name]())
    store.audit.close()
    database.close()


if __name__ == "__main__":
    main()
