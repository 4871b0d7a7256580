"""kill -9: what was acknowledged is there, what is there is whole."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.segment import MAGIC, frames, segments
from chartloop.kernel.audit.verify import verify
from chartloop.kernel.db import open_database

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys, threading
from pathlib import Path
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.keys import signing_key
from chartloop.kernel.outbox import Outbox

url, data, run = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
database = open_database(url)
create_tables(database)
audit, outbox = Audit(data), Outbox(TableBus(database), b"secret")
sealer = Sealer(database, data, signing_key(data / "keys"))
lock = threading.Lock()

def write(thread):
    for number in range(100000):
        name = f"{run}-{thread}-{number}"
        record = AuditRecord("C", "create", "0", Subject("user:1", "any"), (f"Claim/{name}/_history/1",), ())
        def work(tx):
            outbox.publish(tx, "ResourceCreated", f"Claim/{name}", key=name)
            audit.change(tx, record)
        database.write(work)
        audit.access(record)
        with lock:
            print(name, flush=True)

for thread in range(4):
    threading.Thread(target=write, args=(thread,), daemon=True).start()
while True:
    sealer.seal()
"""


def _run_and_kill(url: str, data: Path, run: int) -> list[str]:
    command = [sys.executable, "-c", WRITER, url, str(data), str(run)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = process.stdout.readline()
        assert first
        time.sleep(0.3 + 0.05 * run)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines(keepends=True)
    return [line.strip() for line in [first, *rest] if line.endswith("\n")]


def _kill_three_times(url: str, data: Path) -> None:
    acknowledged: list[str] = []
    for run in range(3):
        acknowledged += _run_and_kill(url, data, run)
        database = open_database(url)
        with database.read(snapshot=True) as session:
            events = {row[0].removeprefix("Claim/") for row in session.all("SELECT subject FROM event")}
            changes = session.one("SELECT count(*) FROM audit_change")
        report = verify(database, data)
        database.close()
        assert set(acknowledged) <= events
        assert changes == (len(events),), "a change and its event are stored together"
        assert (report.problems, report.ok) == ((), True)
        bodies = [framed.body for file in segments(audit_directory(data)) for framed in frames(file.read_bytes()[len(MAGIC) :], len(MAGIC))]
        found = {body.partition(b"Claim/")[2].partition(b"/")[0].decode() for body in bodies}
        assert set(acknowledged) <= found, "each acknowledged access is in the journal"
        assert report.sealed + report.unsealed == len(events) + len(bodies)


@pytest.mark.long
@pytest.mark.conformance("Faults", "kill -9 loses nothing acknowledged; change, event and audit are stored together, on both databases")
@pytest.mark.conformance("Attacks", "74: after kill -9 while sealing the audit log verifies")
def test_sqlite_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    _kill_three_times(f"sqlite:///{tmp_path / 'chartloop.sqlite3'}", tmp_path)


@pytest.mark.long
@pytest.mark.conformance("Faults", "kill -9 loses nothing acknowledged; change, event and audit are stored together, on both databases")
@pytest.mark.conformance("Attacks", "74: after kill -9 while sealing the audit log verifies")
def test_postgresql_keeps_what_it_acknowledged(postgresql_url: str, tmp_path: Path) -> None:
    _kill_three_times(postgresql_url, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("_round", range(10))
def test_sqlite_keeps_what_it_acknowledged_again_and_again(tmp_path: Path, _round: int) -> None:
    _kill_three_times(f"sqlite:///{tmp_path / 'chartloop.sqlite3'}", tmp_path)
