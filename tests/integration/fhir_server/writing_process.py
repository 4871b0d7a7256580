"""A process that writes until it is killed, and says what was acknowledged."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chartloop.kernel import tables as kernel_tables
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from fhir_server import tables
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository

ROOT = Path(__file__).resolve().parents[3]
OPERATOR = Scope(Subject(id="test:operator", role="operator", scopes=("system/*.cruds",)), "create")


def killed(module: str, arguments: Sequence[str], wait_s: float) -> list[list[str]]:
    """Run a module of the tests until it is killed with -9; the words of the lines that it could finish."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(wait_s)
        process.kill()
        lines = [first, *process.stdout.read().splitlines(keepends=True)]
    return [line.split() for line in lines if line.endswith("\n")]


@contextmanager
def open_door(url: str, data: Path) -> Iterator[Repository]:
    """Open a store of its own."""
    assert kernel_tables.METADATA is tables.METADATA
    database, audit = open_database(url), Audit(data)
    create_tables(database)
    secret = b"0123456789abcdef"
    yield Repository(open_store(database, Access(), audit, Outbox(TableBus(database), secret), LabelService(), secret=secret, base="http://x/fhir"))
    audit.close()
    database.close()


def main(url: str, data: str) -> None:
    """Write from several threads; one line for each acknowledged resource."""
    def write(door: Repository, thread: int) -> None:
        for number in range(100_000):
            body = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": f"{thread}-{number}"}]}
            stored = door.create(OPERATOR, body).stored
            sys.stdout.write(f"{stored.id} {thread}-{number}\n")
            sys.stdout.flush()

    with open_door(url, Path(data)) as door:
        threads = [threading.Thread(target=write, args=(door, thread)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
