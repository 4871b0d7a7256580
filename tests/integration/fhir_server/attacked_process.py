"""A server that is attacked: a process of its own, which may have little more memory than it had when the first request was answered.

Prints one line for each attack: its number, the status, and by how many kilobytes the process has grown at most.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from werkzeug.test import Client

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from fhir_server import tables  # noqa: F401
from fhir_server.http.calls import Gate, Limits
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.attacks import attacks

ROOM = 512 * 1024 * 1024
"""Address space beyond what a server has that answered each kind of request once: a hundred times the largest body."""
CPU_S = 240


def _client(directory: Path) -> Client:
    database = open_database(f"sqlite:///{directory / 'attacked.sqlite3'}")
    create_tables(database)
    key = b"0123456789abcdef"
    store = open_store(
        database, Access(), Audit(directory / "data"), Outbox(TableBus(database), key), LabelService(), secret=key, base="http://localhost/fhir"
    )
    subject = Subject(id="test", role="operator", scopes=("user/*.cruds",))
    return Client(fhir_wsgi(Gate(Repository(store), lambda _: subject, "http://localhost/fhir", Limits())))


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main(directory: Path) -> None:
    client = _client(directory)
    allowed = {"Authorization": "Bearer x"}
    patient = {"resourceType": "Patient", "id": "p", "name": [{"family": "Ann"}]}
    for method, path, body, kind in (
        ("PUT", "/fhir/Patient/p", patient, "application/fhir+json"), ("GET", "/fhir/Patient?family=Ann", None, None), ("GET", "/fhir/Patient/p/$everything", None, None),
        ("PATCH", "/fhir/Patient/p", [], "application/json-patch+json"), ("POST", "/fhir", {"resourceType": "Bundle", "type": "batch"}, "application/fhir+json"),
    ):  # fmt: skip
        client.open(path, method=method, data=json.dumps(body) if body is not None else None, headers={**allowed, **({"Content-Type": kind} if kind else {})})
    listed = attacks()
    resource.setrlimit(resource.RLIMIT_AS, (_size() + ROOM, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    for number, attack in enumerate(listed):
        headers = {**allowed, "Content-Type": attack.kind, **dict(attack.headers)}
        answer = client.open(attack.path, method=attack.method, data=attack.body, headers=headers)
        used = resource.getrusage(resource.RUSAGE_SELF)
        sys.stdout.write(f"{number} {answer.status_code} {used.ru_maxrss} {used.ru_utime + used.ru_stime:.2f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
