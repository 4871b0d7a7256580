"""The restore drill: a backup is made while others write, the house is killed, and what the backup holds is all that was acknowledged before it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chartloop.app import open_door
from chartloop.backup.creating import create
from chartloop.backup.restoring import restore
from chartloop.backup.verifying import verify
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.reading import sealed_records
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.verify import verify as verify_log
from chartloop.kernel.keys import signing_key
from fhir_server.versions import stored_versions
from tests.integration.backup.conftest import OPERATOR, WHO, House
from tests.integration.fhir_server.test_reindex import index_of, rebuilt

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys, threading
from pathlib import Path
from chartloop.app import open_door
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.keys import signing_key
from tests.integration.backup.conftest import House, chart

house = House(Path(sys.argv[1]), sys.argv[2])
kernel = house.open()
repository = open_door(kernel).repository
sealer = Sealer(kernel.database, house.data, signing_key(house.settings.keys))
lock = threading.Lock()

def write(thread):
    for number in range(100000):
        name = f"w{thread}-{number}"
        chart(repository, name)
        house.read(kernel, name)
        with lock:
            print(name, flush=True)

for thread in range(3):
    threading.Thread(target=write, args=(thread,), daemon=True).start()
while True:
    sealer.seal()
"""


@pytest.mark.long
@pytest.mark.conformance("Backup", "restore drill: made while others write, then kill -9, then restored: all that was acknowledged before is there with its audit record, the log verifies, the index equals a rebuild")
def test_the_restore_drill(house: House, elsewhere: House, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with subprocess.Popen([sys.executable, "-c", WRITER, str(house.data), house.url], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while len(acknowledged) < 60:
            acknowledged.append(process.stdout.readline().strip())
        manifest, _ = create(house.settings, tmp_path / "backup", WHO)
        time.sleep(0.3)
        process.kill()
        later = process.stdout.read().split()
    assert all(acknowledged)
    assert later, "it wrote until the end"
    checked = verify(house.settings, tmp_path / "backup")
    assert (checked.problems, checked.notes) == ((), ())
    done = restore(elsewhere.settings, tmp_path / "backup", WHO, keys=house.settings.keys)
    assert (done.problems, done.notes) == ((), ())
    with elsewhere.open() as kernel:
        door = open_door(kernel)
        for name in acknowledged:
            assert door.repository.read(OPERATOR, "Patient", name).json()["id"] == name
        assert index_of(door.store) == rebuilt(door.store)
        Sealer(kernel.database, elsewhere.data, signing_key(elsewhere.settings.keys)).seal()
        report = verify_log(kernel.database, elsewhere.data, versions=stored_versions)
        assert (report.problems, report.unsealed) == ((), 0)
        with kernel.database.read(snapshot=True) as session:
            records = [json.loads(record.body) for record in sealed_records(session, audit_directory(elsewhere.data), None, 100_000)]
            waiting = {row[0] for row in session.all("SELECT subject FROM event")}
    read = {target.split("/")[1] for record in records if record["interaction"] == "read" for target in record["targets"]}
    assert set(acknowledged) <= read
    assert {f"Patient/{name}" for name in acknowledged} <= waiting
    assert manifest.resources["Patient"] >= len(acknowledged)
