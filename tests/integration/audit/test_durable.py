"""Nothing is answered whose record is not on disk; what a killed process leaves is sealed by the next; a destroyed key leaves a log that verifies."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.noticing import notice_policies
from chartloop.kernel.audit.record import AuditRecord, leaf_of
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.verify import verify
from chartloop.kernel.db import Database, open_database
from chartloop.kernel.keys import signing_key
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.opening import open_vault
from chartloop.kernel.vault.vault import AUDIT
from tests.integration.audit.conftest import House
from tests.unit.kernel.test_audit import NURSE

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """What a full disk does: the operating system refuses every byte more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.conformance("Attacks", "75: where the operating system lets no file grow, the answer is 503 without a word of the record, for pages and refusals too")
@pytest.mark.parametrize("path", ["/fhir/Patient/secret", "/fhir/Patient", "/fhir/Patient/absent", "/nowhere", "/privacy/patient?patient=secret", "/fhir/AuditEvent"])
def test_on_a_full_disk_nothing_is_disclosed(house: House, operator: str, path: str) -> None:
    house.put({"resourceType": "Patient", "id": "secret", "name": [{"family": "Unspeakable"}]}, operator)
    token = house.token("auditor" if "Audit" in path or "privacy" in path else "clinician", "Practitioner/1")
    house.ask("GET", path, token)  # whatever opens a file has opened it
    house.kernel.audit.close()  # the journal begins a new file
    with no_file_may_grow():
        answer = house.ask("GET", path, token)
    assert answer.status_code == 503
    assert "Unspeakable" not in answer.text
    assert answer.headers["Retry-After"]
    assert house.ask("GET", path, token).status_code != 503


@pytest.mark.conformance("Attacks", "76: of many concurrent reads, every 200 has exactly one record")
def test_every_read_of_many_at_once_has_exactly_one_record(house: House, operator: str) -> None:
    house.put({"resourceType": "Patient", "id": "busy", "active": True}, operator)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda number: house.ask("GET", "/fhir/Patient/busy", operator, f"crowd-{number}").status_code, range(600)))
    assert statuses == [200] * 600
    numbers = [record["request"] for record in house.records(interaction="read") if record["request"].startswith("crowd-")]
    assert len(numbers) == len(set(numbers)) == 600


SEALING = """
import os, sys, signal
from pathlib import Path
from chartloop.kernel.audit import sealer as module
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.db import open_database
from chartloop.kernel.keys import signing_key
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.opening import open_vault
from chartloop.kernel.vault.vault import AUDIT

url, data, place = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
sealer = Sealer(open_database(url), data, signing_key(data / "keys"))

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if place == "before the commit":
    module.Sealer._store = die
elif place == "in the transaction":
    real = module.Sealer._store
    def half(self, tx, *more):
        real(self, tx, *more)
        die()
    module.Sealer._store = half
elif place == "before the heads are published":
    module.Anchors.publish = die
sealer.seal()
"""


@pytest.mark.conformance("Attacks", "74: a sealer that is killed before its commit, in it, or before it publishes leaves a log that is sealed by the next")
@pytest.mark.parametrize("place", ["before the commit", "in the transaction", "before the heads are published"])
def test_a_sealer_that_is_killed_is_followed_by_the_next(database: Database, database_url: str, tmp_path: Path, place: str) -> None:
    audit = Audit(tmp_path)
    key = signing_key(tmp_path / "keys")
    for number in range(5):
        record = AuditRecord("U", "update", "0", NURSE, (f"Patient/{number}/_history/1",), (f"Patient/{number}",))
        database.write(lambda tx, record=record: audit.change(tx, record))  # type: ignore[misc]
        audit.access(record)
    killed = subprocess.run([sys.executable, "-c", SEALING, database_url, str(tmp_path), place], cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert verify(database, tmp_path).ok
    Sealer(database, tmp_path, key).seal()
    report = verify(database, tmp_path)
    assert (report.problems, report.sealed, report.unsealed) == ((), 10, 0)
    audit.close()


@pytest.mark.conformance("Attacks", "81: bodies that are ciphertext whose key is destroyed verify like any others, and hide nothing else from the index")
def test_a_record_whose_key_is_destroyed_still_verifies(database: Database, tmp_path: Path) -> None:
    vault = open_vault(database, VaultSettings(), tmp_path / "keys")
    audit, sealed_bytes = Audit(tmp_path, vault=vault), vault.seal(b"{}", AUDIT, "a key that no longer opens it")
    for number in range(3):
        record = AuditRecord("U", "update", "0", NURSE, (f"Patient/{number}/_history/1",), (f"Patient/{number}",))
        database.write(lambda tx, record=record: audit.change(tx, record))  # type: ignore[misc]
    database.write(lambda tx: tx.run("UPDATE audit_change SET body = ?, leaf = ? WHERE seq = 2", (sealed_bytes, leaf_of(sealed_bytes))))
    Sealer(database, tmp_path, signing_key(tmp_path / "keys")).seal()
    report = verify(database, tmp_path)
    assert (report.problems, report.sealed) == ((), 3)
    database.write(lambda tx: tx.run("UPDATE audit_change SET body = ? WHERE seq = 2", (sealed_bytes[:-1] + b"x",)))
    assert verify(database, tmp_path).first_bad == 2
    audit.close()


@pytest.mark.conformance("Attacks", "78: a change whose transaction is still open when a later one is sealed is sealed when it ends, never lost")
def test_a_change_that_commits_late_is_sealed_late(postgresql_url: str, tmp_path: Path) -> None:
    from chartloop.kernel.db import create_tables

    database = open_database(postgresql_url)
    create_tables(database)
    audit, sealer = Audit(tmp_path), Sealer(database, tmp_path, signing_key(tmp_path / "keys"))
    begun, may_end = threading.Event(), threading.Event()
    record = AuditRecord("U", "update", "0", NURSE, ("Patient/late/_history/1",), ("Patient/late",))

    def late() -> None:
        def work(tx: object) -> None:
            audit.change(tx, record)  # type: ignore[arg-type]
            begun.set()
            may_end.wait(20)

        database.write(work)

    thread = threading.Thread(target=late)
    thread.start()
    assert begun.wait(20)
    for number in range(3):
        database.write(lambda tx, number=number: audit.change(tx, AuditRecord("U", "update", "0", NURSE, (f"Patient/{number}/_history/1",), ())))  # type: ignore[misc]
    first = sealer.seal()
    may_end.set()
    thread.join()
    deadline = time.monotonic() + 20
    while first < 4 and time.monotonic() < deadline:
        first += sealer.seal()
    assert first == 4
    report = verify(database, tmp_path)
    assert (report.problems, report.sealed) == ((), 4)
    audit.close()
    database.close()


@pytest.mark.conformance("Audit", "other policies than before are recorded when a process starts with them, once")
def test_other_policies_than_before_are_recorded_once(database: Database, tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    assert [notice_policies(database, audit, each) for each in ("one", "one", "two", "two")] == [True, False, True, False]
    with database.read() as session:
        assert session.one("SELECT count(*) FROM audit_change") == (2,)
    audit.close()
