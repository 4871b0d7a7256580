"""How fast the research database is filled, beside pyomop on the same bundles: `python -m bench.bench_omop [--bundles N]`.

pyomop is GPL-3.0 and runs as a program of its own. Name an interpreter that has it in PYOMOP_PYTHON; this makes one:

    python -m venv build/pyomop && build/pyomop/bin/pip install pyomop && export PYOMOP_PYTHON=build/pyomop/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from bench.bench_fhir import bundle_files, synthetic_bundle
from bench.machine import fdatasyncs_per_second, machine
from chartloop.app import open_door, open_kernel
from chartloop.engines import subject
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.config import load_settings
from omop_bridge.chart import Reader, seen
from omop_bridge.concepts import shipped
from omop_bridge.coverage import coverage, dangling
from omop_bridge.database import open_cdm, open_lineage
from omop_bridge.deriving import Deriver
from omop_bridge.lineage import Reference
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.resource import FOLLOWED
from omop_bridge.mapping.rows import Profile
from omop_bridge.rebuild import rebuild, store_source
from omop_bridge.writing import Writer

SEED = 20261122
OPERATOR = Scope(Subject("engine:bench", "operator", scopes=("system/*.cruds",)), "transaction")


class Took(NamedTuple):
    wall: float
    cpu: float


class Timer:
    """Wall and CPU seconds of a block."""

    def __enter__(self):
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.took = Took(time.perf_counter() - self._start[0], time.process_time() - self._start[1])


def bundles(count: int) -> list[bytes]:
    """Synthea where it is at hand, else bundles of our own; the two of hospitals and practitioners come first."""
    import random

    rnd = random.Random(SEED)
    return bundle_files(None, count) or [synthetic_bundle(rnd, number, 100) for number in range(count)]


def say(what: str, rows: int, took: Took, unit: str = "rows") -> None:
    print(f"{what}: {rows:,} {unit} in {took.wall:.1f} s wall, {took.cpu:.1f} s CPU: {rows / took.wall:,.0f}/s wall, {rows / took.cpu:,.0f}/s CPU", flush=True)


def ours(files: list[bytes], directory: Path, changes: int) -> tuple[int, Took, Took]:
    """Load the store, rebuild from it, rebuild again, then follow changes one by one."""
    settings = load_settings({"data": directory})
    with open_kernel(settings) as kernel:
        repository = open_door(kernel).repository
        with Timer() as loading:
            for file in files:
                whole = json.loads(file)["type"] == "transaction"
                repository.transaction(OPERATOR, file) if whole else repository.batch(Scope(OPERATOR.subject, "batch"), file)
        say("store: bundles", sum(len(json.loads(file)["entry"]) for file in files), loading.took, "resources")
        cdm, lineage = open_cdm(settings.omop_url), open_lineage(settings.omop_lineage_url)
        writer = Writer(cdm, lineage, Deriver(Coder(shipped()), Profile()))
        engine = subject(kernel, "omop")
        with Timer() as first:
            run = rebuild(writer, store_source(repository, engine))
        say("ours, rebuild from the store into empty databases", run.rows, first.took)
        with Timer() as again:
            rebuild(writer, store_source(repository, engine))
        say("ours, rebuild over what is there", run.rows, again.took)
        follow(repository, writer, engine, changes)
        report(cdm, run)
        cdm.close()
        lineage.close()
    return run.rows, loading.took, first.took


def follow(repository, writer: Writer, engine: Subject, changes: int) -> None:
    """Change Observations one at a time; each change is a pass of its own, durable in both databases."""
    found = [seen(stored) for stored in repository.stream(Scope(engine, "search"), ["Observation"])][:changes]
    updating = Scope(OPERATOR.subject, "update")
    for each in found:
        changed = {**each.resource, "note": [{"text": "changed"}], "effectiveDateTime": "2026-11-21T08:00:00Z"}
        repository.update(updating, "Observation", each.reference.id, json.dumps(changed, default=float).encode())
    with Timer() as took:
        rows = sum(writer.follow([each.reference], Reader(repository, Scope(engine, "read", "bench"))).rows for each in found)
    say("ours, following changes one by one", len(found), took.took, "changes")
    with Timer() as took:
        many = [Reference(*each.reference) for each in found]
        rows = writer.follow(many, Reader(repository, Scope(engine, "read", "bench"))).rows
    say("ours, following the same changes in one pass", rows, took.took)


def report(cdm, run) -> None:
    with cdm.read() as session:
        filled = [each for each in coverage(session) if each.rows]
        lost = dangling(session)
    told = [f"{each.table} {each.rows:,}" + (f" ({each.fields[0].share:.0%} with a concept)" if each.fields and each.fields[0].share is not None else "") for each in filled]
    print(f"   tables: {', '.join(told)}")
    print(f"   left out: {sum(sum(reasons.values()) for reasons in run.counts.values()):,} elements; references that lead nowhere: {sum(each.rows for each in lost)}")


def pyomop(files: list[bytes], directory: Path) -> tuple[int, Took] | None:
    """The same bundles through pyomop's own command."""
    python = os.environ.get("PYOMOP_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import pyomop"], capture_output=True, check=False).returncode:
        print("pyomop is not installed here: no comparison. See the head of bench/bench_omop.py.")
        return None
    source, database = directory / "fhir", directory / "theirs.sqlite"
    source.mkdir(parents=True)
    for number, file in enumerate(files):
        (source / f"{number}.json").write_bytes(file)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [python, "-m", "pyomop", "--create", "--dbtype", "sqlite", "--name", str(database), "--version", "cdm54", "--input", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = Took(time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    if done.returncode:
        print(f"pyomop failed: {done.stderr.strip().splitlines()[-1:]}")
        return None
    counts = theirs(database)
    say("pyomop, from the files into an empty database", sum(counts.values()), took)
    print(f"   tables: {', '.join(f'{name} {rows:,}' for name, rows in counts.items())}")
    return sum(counts.values()), took


def theirs(database: Path) -> Counter[str]:
    with sqlite3.connect(database) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        counts = Counter({name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names})
    connection.close()
    return +counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=int, default=12, help="bundles of patients, beside those of hospitals and practitioners")
    parser.add_argument("--changes", type=int, default=300)
    said = parser.parse_args()
    print(f"command: python -m bench.bench_omop {' '.join(sys.argv[1:])}".rstrip() + f"; seed {SEED}; {machine()}; load {os.getloadavg()[0]:.1f}; {fdatasyncs_per_second():.0f} fdatasync/s")
    files = bundles(said.bundles)
    print(f"{len(files)} bundles, {sum(map(len, files)) / 1e6:.1f} MB; the omop engine follows {len(FOLLOWED)} types")
    with tempfile.TemporaryDirectory() as directory:
        rows, loading, took = ours(files, Path(directory) / "ours", said.changes)
        other = pyomop(files, Path(directory) / "theirs")
    if other:
        (count, their) = other
        print(f"the same bundles as tables: pyomop {their.wall:.1f} s, ours {took.wall:.1f} s from the store ({their.wall / took.wall:.0f} times faster; {their.cpu / took.cpu:.0f} in CPU time),"
              f" {took.wall + loading.wall:.1f} s with the store loaded first ({their.wall / (took.wall + loading.wall):.1f} times)")  # fmt: skip
        print(f"rows per second: {rows / took.wall / (count / their.wall):.0f} times wall, {rows / took.cpu / (count / their.cpu):.0f} times CPU; pyomop writes every Observation twice, which counts for it")


if __name__ == "__main__":
    main()
