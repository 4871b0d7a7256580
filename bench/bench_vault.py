"""What sealing costs: reads, creates, pages and stored bytes, with and without, in one run: `python -m bench.bench_vault [--rows N]`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import machine
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.opening import open_vault
from fhir_server import tables  # noqa: F401
from fhir_server.dictionary import DictionaryTraining
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository

OPERATOR = Scope(Subject("bench", "operator", scopes=("system/*.cruds",)), "read")
PATIENTS = 50
ROUNDS = 15
MEMORY = Path("/dev/shm")
"""Where there is one, the stores lie there: a disk's syncs cost more, and more unevenly, than what is measured."""


class Side:
    """A store of its own, with the vault on or off."""

    def __init__(self, home: Path, access: Access, mode: str) -> None:
        self.database = open_database(f"sqlite:///{home / 'chartloop.sqlite3'}")
        create_tables(self.database)
        vault = open_vault(self.database, VaultSettings(mode=mode), home / "keys")
        self.home, self.audit = home, Audit(home, vault=vault)
        outbox = Outbox(TableBus(self.database), b"s" * 32)
        self.store = open_store(self.database, access, self.audit, outbox, LabelService(), secret=b"k" * 32, base="http://127.0.0.1/fhir", vault=vault)
        self.repository = Repository(self.store)
        self.ids: list[str] = []
        self.dice = random.Random(7)

    def create(self) -> None:
        """Store one laboratory result of one of the patients."""
        number, patient = self.dice.randrange(10**6), self.dice.randrange(PATIENTS)
        body = {
            "resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0", "display": "Glucose"}]},
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
            "subject": {"reference": f"Patient/p{patient}"}, "effectiveDateTime": f"2026-0{1 + number % 9}-1{number % 10}T08:00:00Z",
            "valueQuantity": {"value": 60 + number % 90, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
            "note": [{"text": f"Sample {number:06d} of tube {number * 7919 % 99991}, taken fasting and read twice."}],
        }  # fmt: skip
        self.ids.append(self.repository.create(OPERATOR, body).stored.id)

    def read(self) -> None:
        self.repository.read(OPERATOR, "Observation", self.dice.choice(self.ids))

    def page(self) -> None:
        self.repository.search(OPERATOR, "Observation", f"patient=Patient/p{self.dice.randrange(PATIENTS)}&_count=50")

    def sizes(self) -> tuple[float, float, float]:
        """Bytes per stored body, per record of a read in the journal, and of the whole database per resource."""
        with self.database.read() as session:
            row = session.one("SELECT avg(length(body)) FROM version WHERE method < 3")
        records = sum(len(file.read_bytes().rstrip(b"\0")) for file in audit_directory(self.home).glob("journal-*.log"))
        return float(row[0] if row else 0), records, (self.home / "chartloop.sqlite3").stat().st_size / len(self.ids)


def cpu_us(work: Callable[[], None], count: int) -> float:
    begun = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - begun) / count * 1e6


def compare(name: str, off: Callable[[], None], on: Callable[[], None], count: int) -> None:
    """Take turns, and compare the best of each: what is least disturbed by other work."""
    turns = [(cpu_us(off, count), cpu_us(on, count)) for _ in range(ROUNDS)]
    before, after = min(turn[0] for turn in turns), min(turn[1] for turn in turns)
    print(f"{name:<28} off {before:8.1f} µs   on {after:8.1f} µs   + {after - before:6.1f} µs   {after / before:5.3f} times   (processor time)")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4_000)
    rows = parser.parse_args().rows
    print(f"{machine()}; {rows} observations of {PATIENTS} patients on SQLite")
    access = Access()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        off, on = (Side(Path(directory) / mode, access, mode) for mode in ("off", "on"))
        for side in (off, on):
            while len(side.ids) < rows // 2:
                side.create()
            DictionaryTraining(side.store).run()
        per = max(20, rows // 2 // ROUNDS)
        compare("create", off.create, on.create, per)
        compare("read by id, audited", off.read, on.read, per * 3)
        compare("page of 50 of a patient", off.page, on.page, max(1, per // 10))
        body = off.repository.read(OPERATOR, "Observation", off.ids[-1]).body
        compare("pack and unpack one body", lambda: _round(off, body), lambda: _round(on, body), 2_000)
        for side in (off, on):
            side.audit.close()
        for what, before, after in zip(("bytes per stored body", "bytes of the read journal", "bytes of the database per resource"), off.sizes(), on.sizes(), strict=True):
            print(f"{what:<36} off {before:12,.1f}   on {after:12,.1f}   {after / before:5.3f} times")
        for side in (off, on):
            side.database.close()


def _round(side: Side, body: bytes) -> None:
    packed = side.store.codec.pack(body, "Observation/1/_history/1", "Patient/p1")
    side.store.codec.unpack(*packed, "Observation/1/_history/1")


if __name__ == "__main__":
    main()
