"""Reads, creates, bundles and searches of the FHIR store, over HTTP: `python -m bench.bench_fhir [--bundles DIR] [--database URL]`."""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.fhir_app import OPERATOR, open_tables
from bench.load import Run, drive, request
from bench.machine import fdatasyncs_per_second, machine
from chartloop.kernel import auth
from chartloop.kernel.config import corpus_directory
from chartloop.kernel.settings_sections import ServerSettings

SEED = 7
THREADS = ServerSettings().threads
"""Of a server, as in the product."""
CODES = ("29463-7", "8302-2", "8867-4", "9279-1", "8310-5", "2708-6", "85354-9", "2339-0", "718-7", "4548-4")
CREATE = (
    b'{"resourceType":"Observation","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category",'
    b'"code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}],"text":"Body weight"},'
    b'"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2026-01-02T03:04:05+00:00","issued":"2026-01-02T03:04:05.123+00:00",'
    b'"valueQuantity":{"value":72.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}'
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, help="directory of transaction bundles (.json, .gz, .bz2); without it the sample files, if any")
    parser.add_argument("--bundle-count", type=int, default=12)
    parser.add_argument("--database", default="", help="postgresql://…; without it a new SQLite file")
    parser.add_argument("--patients", type=int, default=200, help="synthetic patients for the searches")
    parser.add_argument("--observations", type=int, default=100, help="observations of each")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each run")
    parser.add_argument("--threads", type=int, default=THREADS, help="blocking threads of the server")
    parser.add_argument("--many-cores", action="store_true", help="let the server's threads run on every core")
    parser.add_argument("--directory", type=Path, help="where the store and its journal go")
    return parser.parse_args()


def bundle_files(directory: Path | None, count: int) -> list[bytes]:
    if directory is None and (corpus := corpus_directory() or Path(__file__).parents[2] / "shared" / "data").is_dir():
        directory = corpus / "fhir" / "synthea-r4"
    if directory is None or not directory.is_dir():
        return []
    files = sorted(path for path in directory.iterdir() if path.suffix in (".json", ".gz", ".bz2"))
    first = [path for path in files if "nformation" in path.name]
    rest = [path for path in files if path not in first]
    random.Random(SEED).shuffle(rest)
    openers = {".bz2": bz2.decompress, ".gz": gzip.decompress}
    return [openers.get(path.suffix, bytes)(path.read_bytes()) for path in [*first, *rest[:count]]]


def synthetic_bundle(rnd: random.Random, number: int, observations: int) -> bytes:
    entries = [{"resource": {"resourceType": "Patient", "id": f"b{number}", "gender": rnd.choice(("male", "female")),
                             "birthDate": f"{rnd.randrange(1930, 2020)}-0{rnd.randrange(1, 10)}-1{rnd.randrange(10)}",
                             "name": [{"family": f"Family{number}", "given": ["Given"]}],
                             "identifier": [{"system": "urn:mrn", "value": str(number)}]},
                "request": {"method": "PUT", "url": f"Patient/b{number}"}}]  # fmt: skip
    for _ in range(observations):
        resource = json.loads(CREATE)
        resource["subject"]["reference"] = f"Patient/b{number}"
        resource["code"] = {"coding": [{"system": "http://loinc.org", "code": rnd.choice(CODES)}]}
        resource["effectiveDateTime"] = f"{rnd.randrange(2010, 2026)}-0{rnd.randrange(1, 10)}-1{rnd.randrange(10)}T10:00:00Z"
        resource["valueQuantity"]["value"] = rnd.randrange(1000) / 10
        entries.append({"resource": resource, "request": {"method": "POST", "url": "Observation"}})
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def start_server(url: str, data: Path, threads: int, *, many_cores: bool = False, without: str = "") -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environment = {**os.environ, "CHARTLOOP_BENCH_URL": url, "CHARTLOOP_BENCH_DATA": str(data), "CHARTLOOP_BENCH_MANY_CORES": "1" if many_cores else "", "CHARTLOOP_BENCH_WITHOUT": without}
    command = [sys.executable, "-m", "bench.served", str(port), str(threads)]
    process = subprocess.Popen(command, env=environment)
    for _ in range(200):
        time.sleep(0.1)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
    raise RuntimeError("the server did not start")


def say(name: str, figure: str, target: str, run: Run | None = None) -> None:
    shape = ""
    if run is not None:
        shape = f"; n={len(run.latencies)}, p50 {run.percentile(0.5):.2f} ms, p99 {run.percentile(0.99):.2f} ms, statuses {run.statuses}"
    print(f"{name}: {figure} (target {target}{shape})", flush=True)


def load(port: int, token: str, bundles: list[bytes], name: str, targets: str) -> None:
    """Send bundles from two clients; the batches first, because the transactions refer to what they bring."""
    parsed = [json.loads(bundle) for bundle in bundles]
    entries = sum(len(bundle["entry"]) for bundle in parsed)
    sorts = [[body for body, bundle in zip(bundles, parsed, strict=True) if (bundle["type"] == "batch") is first] for first in (True, False)]
    runs = [drive(port, 2, lambda sent=sent: iter([request("POST", "/fhir", token, body) for body in sent]), 3600) for sent in sorts if sent]
    run = Run(sum(each.seconds for each in runs), runs[-1].latencies, runs[-1].statuses)
    say(name, f"{entries / run.seconds:,.0f} resources/s, {entries} resources in {len(bundles)} bundles", targets, run)


def main() -> None:
    said = arguments()
    home = Path(tempfile.mkdtemp(prefix="chartloop-bench-", dir=said.directory))
    url = said.database or f"sqlite:///{home / 'bench.sqlite3'}"
    kind = "PostgreSQL" if said.database else "SQLite"
    print(f"python -m bench.bench_fhir {' '.join(sys.argv[1:])}; seed {SEED}; {machine()}; {kind}; "
          f"{fdatasyncs_per_second(directory=home):.0f} fdatasync/s; load average {os.getloadavg()[0]:.1f}")  # fmt: skip
    database = open_tables(url)
    token = database.write(lambda tx: auth.issue(tx, OPERATOR, 36_000))
    database.close()
    server, port = start_server(url, home, said.threads, many_cores=said.many_cores)
    try:
        measure(said, port, token, kind)
    finally:
        server.terminate()
        server.wait()
    if not said.database:
        report_disk(url, home)


def measure(said: argparse.Namespace, port: int, token: str, kind: str) -> None:
    rnd = random.Random(SEED)
    lite = kind == "SQLite"
    files = bundle_files(said.bundles, said.bundle_count)
    if files:
        load(port, token, files, "Synthea bundles", "3,000/s" if lite else "2,000/s")
    load(port, token, [synthetic_bundle(rnd, number, said.observations) for number in range(said.patients)], "synthetic bundles", "none")

    def reads() -> Iterator[bytes]:
        prepared = [request("GET", f"/fhir/Patient/b{number}", token) for number in range(said.patients)]
        while True:
            yield rnd.choice(prepared)

    drive(port, 32, reads, 1)
    run = drive(port, 32, reads, said.seconds)
    say("read, 32 clients", f"{run.rate():,.0f}/s", "5,000/s" if lite else "2,500/s", run)

    def creates() -> Iterator[bytes]:
        prepared = request("POST", "/fhir/Observation", token, CREATE)
        while True:
            yield prepared

    run = drive(port, 16, creates, said.seconds)
    say("create, 16 clients", f"{run.rate():,.0f}/s", "1,500/s", run)
    searches = {
        "search patient+code+date, 50 a page": lambda: f"Observation?patient=Patient/b{rnd.randrange(said.patients)}&code=http://loinc.org|{rnd.choice(CODES)}&date=ge2015&_count=50",
        "search code, newest first, 50 a page": lambda: f"Observation?code=http://loinc.org|{rnd.choice(CODES)}&_sort=-date&_count=50",
        "search name": lambda: f"Patient?name=family{rnd.randrange(said.patients)}",
        "search identifier": lambda: f"Patient?identifier=urn:mrn|{rnd.randrange(said.patients)}",
        f"$everything of {said.observations + 1} resources": lambda: f"Patient/b{rnd.randrange(said.patients)}/$everything",
        "search patient, with _revinclude": lambda: f"Patient?_id=b{rnd.randrange(said.patients)}&_revinclude=Observation:patient",
    }
    for name, query in searches.items():
        for clients in (1, 8):

            def asks(query: object = query) -> Iterator[bytes]:
                while True:
                    yield request("GET", "/fhir/" + query().replace("|", "%7C"), token)  # type: ignore[operator]

            run = drive(port, clients, asks, said.seconds / 2)
            target = "20 ms for 1,000 resources" if "$" in name else "p50 3 ms, p99 15 ms at 1 million resources"
            say(f"{name}, {clients} clients", f"{run.rate():,.0f}/s", target, run)


def report_disk(url: str, home: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (count,) = connection.execute("SELECT count(*) FROM resource").fetchone()
    sizes = dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()) if _has_dbstat(connection) else {}
    ours = {name: size for name, size in sizes.items() if not name.startswith(("audit", "event", "delivery", "sqlite_autoindex_audit"))}
    total = sum(ours.values()) or os.path.getsize(url.removeprefix("sqlite:///"))
    say("disk, store and indexes", f"{total / count:,.0f} B a resource, {count} resources", "1,000 B")
    for name, size in sorted(sizes.items(), key=lambda pair: -pair[1])[:14]:
        print(f"    {name}: {size / count:,.0f} B")
    print(f"    (kept in {home})")


def _has_dbstat(connection: object) -> bool:
    try:
        connection.execute("SELECT 1 FROM dbstat LIMIT 1")  # type: ignore[attr-defined]
    except Exception:
        return False
    return True


if __name__ == "__main__":
    main()
