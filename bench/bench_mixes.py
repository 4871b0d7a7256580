"""The shapes of the public harnesses, over HTTP: `python -m bench.bench_mixes [--seconds 3] [--database URL]`.

CRUD over nine types, import and six families of searches as Health Samurai's daily benchmark has them; reads, transactions of one
Patient and one Observation, and $everything of 1,000 resources at 1 to 64 clients as Blaze's; start-up time and memory.
Load generator and server share the machine's cores, so the figures are those of a machine that does both.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from bench.bench_fhir import THREADS, say, start_server, synthetic_bundle
from bench.fhir_app import OPERATOR, open_tables
from bench.load import Run, drive, request
from bench.machine import fdatasyncs_per_second, machine
from bench.population import CITIES, CONDITIONS, FAMILIES, VITALS, bundles
from chartloop.kernel import auth

SEED = 7
PATIENTS = 1000
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
BLOCK = 60
"""Resources of each type that are made before they are read, so that no client reads what another is still making."""

_SUBJECT = '"subject":{"reference":"Patient/p1"}'
RESOURCES = {
    "Patient": '"name":[{"family":"Mix","given":["A"]}],"gender":"female","birthDate":"1970-01-01"',
    "Observation": f'"status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4"}}]}},{_SUBJECT},"valueQuantity":{{"value":70,"unit":"/min"}}',
    "Encounter": f'"status":"finished","class":{{"code":"AMB"}},{_SUBJECT},"period":{{"start":"2026-01-01"}}',
    "Condition": f'"code":{{"text":"x"}},{_SUBJECT},"onsetDateTime":"2020-01-01"',
    "Procedure": f'"status":"completed","code":{{"text":"x"}},{_SUBJECT}',
    "MedicationRequest": f'"status":"active","intent":"order","medicationCodeableConcept":{{"text":"x"}},{_SUBJECT}',
    "DiagnosticReport": f'"status":"final","code":{{"text":"x"}},{_SUBJECT}',
    "Practitioner": '"name":[{"family":"Mix"}]',
    "Organization": '"name":"Mix"',
}


def crud(token: str) -> Iterator[bytes]:
    """Create, read, update, read and delete, block by block."""
    for block in count():
        made = [(type_, f"mix-{block}-{number}", body) for number in range(BLOCK) for type_, body in RESOURCES.items()]
        for changed in ("", '"language":"en",'):
            yield from (_put(token, type_, id_, changed + body) for type_, id_, body in made)
            yield from (request("GET", f"/fhir/{type_}/{id_}", token) for type_, id_, _ in made)
        yield from (request("DELETE", f"/fhir/{type_}/{id_}", token) for type_, id_, _ in made)


def _put(token: str, type_: str, id_: str, rest: str) -> bytes:
    return request("PUT", f"/fhir/{type_}/{id_}", token, f'{{"resourceType":"{type_}","id":"{id_}",{rest}}}'.encode())


def families(dice: random.Random) -> dict[str, Callable[[], str]]:
    """One search of each family."""
    return {
        "string": lambda: f"Patient?family={dice.choice(FAMILIES)}{dice.randrange(PATIENTS)}",
        "token": lambda: f"Observation?code=http://loinc.org%7C{dice.choice(VITALS)[0]}&_count=20",
        "date": lambda: f"Encounter?date=ge{dice.randrange(2006, 2025)}-01&date=lt{dice.randrange(2025, 2027)}&_count=20",
        "reference": lambda: f"Condition?patient=Patient/p{dice.randrange(PATIENTS)}",
        "combined": lambda: f"Patient?address-city={dice.choice(CITIES)}&gender=male&birthdate=gt1960&_count=20",
        "chain": lambda: f"Condition?patient.family={dice.choice(FAMILIES)}{dice.randrange(PATIENTS)}&code={dice.choice(CONDITIONS)}",
    }


def transactions(token: str) -> Iterator[bytes]:
    """One Patient and one Observation of that Patient, as Blaze measures it."""
    for number in count():
        body = (
            '{"resourceType":"Bundle","type":"transaction","entry":['
            f'{{"fullUrl":"urn:uuid:{number:032x}","resource":{{"resourceType":"Patient","name":[{{"family":"T{number}"}}]}},"request":{{"method":"POST","url":"Patient"}}}},'
            '{"resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},'
            f'"subject":{{"reference":"urn:uuid:{number:032x}"}},"valueQuantity":{{"value":70,"unit":"/min"}}}},"request":{{"method":"POST","url":"Observation"}}}}]}}'
        )
        yield request("POST", "/fhir", token, body.encode())


def repeat(token: str, query: Callable[[], str]) -> Callable[[], Iterator[bytes]]:
    """Ask the same kind of question again and again."""

    def asks() -> Iterator[bytes]:
        while True:
            yield request("GET", f"/fhir/{query()}", token)

    return asks


def sweep(name: str, clients: tuple[int, ...], run: Callable[[int], Run]) -> None:
    """Print rate, p50 and p99 by number of clients."""
    for each in clients:
        measured = run(each)
        print(f"{name}, {each:2} clients: {measured.rate():8,.0f}/s  p50 {measured.percentile(0.5):7.2f} ms  p99 {measured.percentile(0.99):7.2f} ms  {measured.statuses}", flush=True)


def memory_mb(pid: int) -> float:
    """Memory of a process and its children that is their own, in MB; pages of the database file that are mapped are the system's."""
    listed = subprocess.run(["ps", "-o", "pid=", "--pid", str(pid), "--ppid", str(pid)], capture_output=True, text=True, check=False)
    statuses = [Path(f"/proc/{each}/status").read_text(encoding="utf-8") for each in listed.stdout.split()]
    return sum(int(line.split()[1]) for status in statuses for line in status.splitlines() if line.startswith("RssAnon")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run")
    parser.add_argument("--database", default="")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--directory", type=Path)
    said = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="chartloop-mixes-", dir=said.directory))
    url = said.database or f"sqlite:///{home / 'bench.sqlite3'}"
    print(f"python -m bench.bench_mixes {' '.join(sys.argv[1:])}; seed {SEED}; {machine()}; {'PostgreSQL' if said.database else 'SQLite'}; "
          f"{fdatasyncs_per_second(directory=home):.0f} fdatasync/s; load average {os.getloadavg()[0]:.1f}")  # fmt: skip
    database = open_tables(url)
    token = database.write(lambda tx: auth.issue(tx, OPERATOR, 36_000))
    database.close()
    began = time.perf_counter()
    server, port = start_server(url, home, said.threads)
    drive(port, 1, lambda: iter([request("GET", "/fhir/Patient/none", token)]), 10)
    print(f"start-up to the first answer: {time.perf_counter() - began:.2f} s (target 2 s); own memory {memory_mb(server.pid):.0f} MB")
    try:
        measure(said.seconds, port, token, server.pid)
    finally:
        server.terminate()
        server.wait()


def measure(seconds: float, port: int, token: str, pid: int) -> None:
    """Drive every mix, and say what memory the worker has after each: what grows is caches, what stays high is theirs."""

    def remembered(stage: str) -> None:
        print(f"own memory after {stage}: {memory_mb(pid):.0f} MB", flush=True)

    dice = random.Random(SEED)
    run = drive(port, 20, lambda: (request("POST", "/fhir", token, bundle) for bundle in bundles(SEED, 0, PATIENTS, 10)), 3600)
    say("import, 20 clients, bundles of 10 charts", f"{PATIENTS * 12 / run.seconds:,.0f} resources/s", "none", run)
    run = drive(port, 64, lambda: crud(token), seconds * 3)
    say("CRUD mix, 9 types, 64 clients", f"{run.rate():,.0f}/s", "1,400/s", run)
    remembered("import and CRUD")
    for name, query in families(dice).items():
        run = drive(port, 16, repeat(token, query), seconds)
        say(f"search family {name}, 16 clients", f"{run.rate():,.0f}/s", "none", run)
    drive(port, 1, lambda: iter([request("POST", "/fhir", token, synthetic_bundle(dice, 0, 1000))]), 60)
    remembered("searches")
    sweep("read", CLIENTS, lambda clients: drive(port, clients, repeat(token, lambda: f"Patient/p{dice.randrange(PATIENTS)}"), seconds))
    sweep("transaction of 2", CLIENTS, lambda clients: drive(port, clients, lambda: transactions(token), seconds))
    remembered("reads and transactions")
    sweep("_summary of 1,000", (1, 4, 16), lambda clients: drive(port, clients, repeat(token, lambda: "Observation?patient=Patient/b0&_summary=true&_count=1000"), seconds))
    remembered("_summary of 1,000 resources at 16 clients")
    sweep("$everything of 1,001", (1, 4, 16), lambda clients: drive(port, clients, repeat(token, lambda: "Patient/b0/$everything?_count=1000"), seconds))
    remembered("$everything of 1,001 resources at 16 clients")


if __name__ == "__main__":
    main()
