"""The same searches at 1,000, 8,000 and 64,000 patients, over HTTP: `python -m bench.bench_flatness [--sizes 1000,8000,64000] [--database URL]`.

Ratios of medians are what is looked at (HAPI: 1.35 from 1,000 to 64,000); then the plans of the ten slowest.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.bench_fhir import start_server
from bench.fhir_app import OPERATOR, open_tables, sealing
from bench.load import drive, request
from bench.machine import machine
from bench.population import CHART, CITIES, CONDITIONS, FAMILIES, GIVEN, VITALS, bundles
from chartloop.kernel import auth
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.db_sqlite import SqliteSession
from chartloop.kernel.outbox import Outbox
from fhir_server.interactions.search import permitted_query
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.search.hops import settled
from fhir_server.search.ordering import has_column
from fhir_server.search.streams import streams_of
from fhir_server.store import Store

SEED = 7
BASE = "http://127.0.0.1/fhir"
SECRET = b"0123456789abcdef"
STEPS = 25
"""The steps of SQLite's machine are counted this many at a time."""


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
        **harder(dice, patients),
    }


def harder(dice: random.Random, patients: int) -> dict[str, Callable[[], str]]:
    """What the first set hides: pages that are full at every size, nested hops, chains beside other criteria, totals, orders of codes."""
    code = lambda: f"http://loinc.org%7C{dice.choice(VITALS)[0]}"  # noqa: E731
    some = lambda: dice.randrange(patients)  # noqa: E731
    return {
        "patients by given name, born before": lambda: f"Patient?given={dice.choice(GIVEN)}&birthdate=lt{dice.randrange(1985, 2020)}&_count=20",
        "observations by code in a decade": lambda: f"Observation?code={code()}&date=ge{dice.randrange(2005, 2010)}&date=lt{dice.randrange(2015, 2020)}&_count=20",
        "observations by code in a decade, oldest first": lambda: f"Observation?code={code()}&date=ge{dice.randrange(2005, 2010)}&_sort=date&_count=20",
        "observations by code of the last days": lambda: f"Observation?code={code()}&date=ge2025-12-{dice.randrange(20, 29)}&_count=20",
        "encounters in a decade": lambda: f"Encounter?date=ge{dice.randrange(2005, 2010)}&date=lt{dice.randrange(2015, 2020)}&_count=20",
        "observations by three codes and status": lambda: f"Observation?code={code()},{code()},{code()}&status=final&_count=20",
        "observations by a whole code system": lambda: "Observation?code=http://loinc.org%7C&_count=20",
        "observations in the order of their codes": lambda: f"Observation?_sort={dice.choice(('', '-'))}code&_count=20",
        "observations of a month in the order of their status": lambda: f"Observation?date={dice.randrange(2006, 2025)}-0{dice.randrange(1, 10)}&_sort=status&_count=20",
        "chain beside one patient": lambda: f"Observation?patient=p{some()}&subject:Patient.gender=female",
        "chain beside a code, neither selective": lambda: f"Observation?code={code()}&subject:Patient.gender=female&_count=20",
        "chain alone, not selective": lambda: f"Observation?subject:Patient.family={dice.choice(FAMILIES)}&_count=20",
        "_has beside gender, neither selective": lambda: f"Patient?gender=female&_has:Condition:patient:code=http://snomed.info/sct%7C{dice.choice(CONDITIONS)}&_count=20",
        "_has of a chain, of one patient": lambda: f"Patient?_id=p{some()}&_has:Observation:patient:encounter.class=AMB",
        "chain to a _has, of one patient": lambda: f"Observation?patient=p{some()}&subject:Patient._has:Condition:patient:clinical-status=active",
        "total of a code": lambda: f"Observation?code={code()}&_total=accurate&_count=5",
        "total of a code system": lambda: "Observation?code=http://loinc.org%7C&_total=accurate&_count=5",
    }


def of_readers(dice: random.Random) -> dict[str, tuple[Subject, Callable[[], str]]]:
    """Searches of readers who may see little: by name, who asks and what."""
    code = lambda: dice.choice(VITALS)[0]  # noqa: E731
    patient = Subject(id="bench-patient", role="patient", user="Patient/p7", patient="Patient/p7", scopes=("patient/*.rs",))
    biller = Subject(id="bench-biller", role="billing-administrator", user="Practitioner/1", scopes=("user/*.rs",))
    return {
        "patient: own observations by code": (patient, lambda: f"Observation?code={code()}&_count=20"),
        "patient: own observations by four codes": (patient, lambda: f"Observation?code={','.join(code() for _ in range(4))}&_count=20"),
        "patient: own observations of a year": (patient, lambda: f"Observation?date={dice.randrange(2006, 2025)}&_count=20"),
        "patient: own newest changes": (patient, lambda: "Observation?_lastUpdated=gt2020&_sort=-_lastUpdated&_count=20"),
        "patient: chain to the own gender": (patient, lambda: "Observation?subject:Patient.gender=female,male&_count=20"),
        "patient: total of a code": (patient, lambda: f"Observation?code={code()}&_total=accurate&_count=5"),
        "biller: patients by city and gender": (biller, lambda: f"Patient?address-city={dice.choice(CITIES)}&gender=female&_count=20"),
        "biller: encounters in a decade": (biller, lambda: f"Encounter?date=ge{dice.randrange(2005, 2010)}&date=lt{dice.randrange(2015, 2020)}&_count=20"),
    }


def everything_asked(dice: random.Random, patients: int) -> dict[str, tuple[Subject, Callable[[], str]]]:
    """All searches, by name."""
    return {**{name: (OPERATOR, query) for name, query in searches(dice, patients).items()}, **of_readers(dice)}


def open_door(url: str, home: Path) -> tuple[Database, Store]:
    """The store of this process."""
    database = open_tables(url)
    home.mkdir(exist_ok=True)
    vault = sealing(database)
    audit, outbox = Audit(home, vault=vault), Outbox(TableBus(database), SECRET)
    return database, open_store(database, Access(), audit, outbox, LabelService(), secret=SECRET, base=BASE, vault=vault)


def grow(store: Store, first: int, last: int) -> float:
    """Load charts through the door; returns resources per second."""
    door, scope = Repository(store), Scope(OPERATOR, "load")
    began = time.perf_counter()
    for bundle in bundles(SEED, first, last):
        door.transaction(scope, bundle)
    return (last - first) * CHART / (time.perf_counter() - began)


class Measured(NamedTuple):
    """Of one search at one size: latencies in ms, resources on a page, steps of SQLite's machine (0 on PostgreSQL)."""

    p50: float
    p99: float
    found: float
    steps: float


def measure(store: Store, url: str, home: Path, tokens: dict[str, str], patients: int, seconds: float) -> dict[str, Measured]:
    """Each search over HTTP, one client; then a few in this process, to see what they find and how much work they are."""
    dice = random.Random(SEED)
    server, port = start_server(url, home, 8)
    measured = {}
    try:
        for name, (subject, query) in everything_asked(dice, patients).items():

            def asks(query: Callable[[], str] = query, token: str = tokens[subject.id]) -> Iterator[bytes]:
                while True:
                    yield request("GET", f"/fhir/{query()}", token)

            drive(port, 1, asks, 0.3)
            run = drive(port, 1, asks, seconds)
            if set(run.statuses) != {200}:
                raise RuntimeError(f"{name}: {run.statuses}")
            measured[name] = Measured(run.percentile(0.5), run.percentile(0.99), *work(store, subject, query))
    finally:
        server.terminate()
        server.wait()
    return measured


def work(store: Store, subject: Subject, query: Callable[[], str], times: int = 15) -> tuple[float, float]:
    """Mean number of resources found, and median of the steps: these do not depend on what else the machine does."""
    door, scope = Repository(store), Scope(subject, "search")
    found, steps = [], []
    for _ in range(times):
        type_, mark, said = query().partition("?")
        if not mark:
            return 0, 0
        counted = [0]
        with store.db.read() as session:
            if isinstance(session, SqliteSession):
                session.connection.set_progress_handler(partial(_count, counted), STEPS)
            found.append(len(door.search(scope, type_, said).entries))
            if isinstance(session, SqliteSession):
                session.connection.set_progress_handler(None, 0)
        steps.append(counted[0] * STEPS)
    return sum(found) / times, statistics.median(steps)


def _count(counted: list[int]) -> int:
    counted[0] += 1
    return 0


def explain(store: Store, name: str, subject: Subject, address: str) -> None:
    """Print the plan that the database makes of a search; of a chained one, of what is left when its chains are answered."""
    type_, _, query = address.partition("?")
    scope = Scope(subject, "search")
    parsed = permitted_query(store, scope, type_, query.replace("%7C", "|"))
    with store.db.read() as session:
        parsed.sort = [key for key in parsed.sort if has_column(key.param)]  # codes are walked one by one, each as a criterion
        settled_query = settled(session, store, scope, parsed, sifting=True)
        planned = streams_of(session, settled_query, store.access.row_filter(scope, type_), ranked=True)[0].plan
        sql, params = planned.page(None, None, parsed.count + 1, until=planned.edge(session, None))
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
    readers = {subject.id: subject for subject, _ in everything_asked(random.Random(SEED), 1).values()}
    tokens = database.write(lambda tx: {each.id: auth.issue(tx, each, 360_000) for each in readers.values()})
    results, before = [], 0
    sizes = [int(size) for size in said.sizes.split(",")]
    for size in sizes:
        rate = grow(store, before, size)
        if said.database:
            database.write(lambda tx: tx.run("ANALYZE"))  # what autovacuum does a minute later
        before = size
        print(f"{size} patients: {size * CHART} resources, {index_rows(store):,} index rows; the last ones through the door in process at {rate:,.0f} resources/s", flush=True)
        results.append(measure(store, url, home / "server", tokens, size, said.seconds))
    report(sizes, results)
    queries = everything_asked(random.Random(SEED), sizes[-1])
    print("plans of the ten slowest:")
    for name in sorted((each for each in results[-1] if "$" not in each), key=lambda each: -results[-1][each].p50)[:10]:
        subject, query = queries[name]
        explain(store, name, subject, query())
    store.audit.close()
    database.close()


def report(sizes: list[int], results: list[dict[str, Measured]]) -> None:
    """Print a line for each search."""
    print(f"{'p50 (p99) in ms, resources found, steps':52}{''.join(f'{size:>35,}' for size in sizes)}   growth: p50, steps")
    for name in results[0]:
        each = [result[name] for result in results]
        columns = "".join(f"{one.p50:9.2f} ({one.p99:6.1f}) {one.found:5.1f} {one.steps:10,.0f}" for one in each)
        print(f"{name:52}{columns}   {each[-1].p50 / each[0].p50:6.2f} {each[-1].steps / max(each[0].steps, STEPS):6.2f}")


if __name__ == "__main__":
    main()
