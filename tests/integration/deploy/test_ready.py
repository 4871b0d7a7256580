"""/readyz tells the truth: each thing that must hold is taken away, and the answer is 503 with its name; /healthz stays cheap."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chartloop.app import Kernel, open_kernel
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.config import load_settings
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.health import health_blueprint
from chartloop.kernel.keys import signing_key
from chartloop.kernel.metrics import Metrics
from chartloop.kernel.worker import Worker
from chartloop.ready import Readiness, WriteProbe
from tests.integration.audit.test_durable import no_file_may_grow
from tests.integration.backup.conftest import WHO

AREA = "Readiness"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with open_kernel(load_settings({"data": tmp_path, "database.busy_timeout_s": 0.2})) as opened:
        yield opened


@pytest.fixture
def ready(kernel: Kernel) -> Readiness:
    return Readiness(kernel)


@pytest.fixture
def client(ready: Readiness) -> FlaskClient:
    return client_of(ready)


def client_of(ready: Readiness) -> FlaskClient:
    app = Flask("ready")
    app.register_blueprint(health_blueprint(ready.checks(), Metrics()))
    return app.test_client()


def failing(client: FlaskClient) -> set[str]:
    """Names of the checks that fail, and that the status says so."""
    answer = client.get("/readyz")
    failed = {name for name, good in answer.json["checks"].items() if not good}
    assert (answer.status_code, answer.json["ready"]) == ((503, False) if failed else (200, True))
    return failed


def change(kernel: Kernel, statement: str) -> None:
    with closing(sqlite3.connect(kernel.settings.data / "chartloop.sqlite3")) as connection, connection:
        connection.execute(statement)


@pytest.mark.conformance(AREA, "a server of which nothing is missing is ready, and says what it looked at")
def test_a_server_of_which_nothing_is_missing_is_ready(client: FlaskClient) -> None:
    assert failing(client) == set()
    assert set(client.get("/readyz").json["checks"]) == {"stopping", "database", "schema", "writable", "disk", "keys", "bus", "worker", "terminology", "models"}


@pytest.mark.conformance(AREA, "a schema that is behind or too new is not ready; a newer one that says that this code works on it is, so that releases can overlap")
def test_a_schema_that_does_not_fit_is_not_ready(kernel: Kernel, client: FlaskClient) -> None:
    change(kernel, "UPDATE alembic_version SET version_num = '0003_search'")
    assert failing(client) == {"schema"}
    change(kernel, "UPDATE alembic_version SET version_num = '9999_later'")
    assert failing(client) == set(), "the newest migration said so of this release's schema"
    change(kernel, "PRAGMA user_version = 9999")
    assert failing(client) == {"schema"}


@pytest.mark.conformance(AREA, "a store that takes no write is not ready: locked by somebody else, or on a full disk")
def test_a_store_that_takes_no_write_is_not_ready(kernel: Kernel, client: FlaskClient) -> None:
    with closing(sqlite3.connect(kernel.settings.data / "chartloop.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert failing(client) == {"writable"}
        other.execute("ROLLBACK")
    assert failing(client) == set(), "it is asked anew after a failure"
    for _ in range(3):  # the file of the log of SQLite is full of its own pages
        kernel.database.write(lambda tx: tx.run("DELETE FROM audit_state"))
    full = Readiness(kernel)
    with no_file_may_grow():
        assert failing(client_of(full)) == {"writable"}


@pytest.mark.conformance(AREA, "a write that waits behind a long one is no failure; one that waits for a minute is")
def test_a_write_that_waits_is_no_failure_for_a_while() -> None:
    go, now = threading.Event(), [100.0]
    database = SimpleNamespace(write=lambda work: go.wait(30))
    probe = WriteProbe(database, wait_s=0.05, perf_s=lambda: now[0])  # type: ignore[arg-type]
    probe.check()
    now[0] += 61
    with pytest.raises(Unavailable, match="no write for 60 s"):
        probe.check()
    go.set()


@pytest.mark.conformance(AREA, "a disk that is nearly full is not ready, before the journal cannot be written")
def test_a_disk_that_is_nearly_full_is_not_ready(kernel: Kernel) -> None:
    settings = kernel.settings.model_copy(update={"audit": kernel.settings.audit.model_copy(update={"free_min_mb": 1e12})})
    assert failing(client_of(Readiness(Kernel(**{**{name: getattr(kernel, name) for name in Kernel.__slots__}, "settings": settings})))) == {"disk"}


@pytest.mark.conformance(AREA, "a key that is gone, is another one, or cannot be opened is not ready; none is made by asking")
def test_a_key_that_cannot_be_opened_is_not_ready(kernel: Kernel, client: FlaskClient) -> None:
    key = kernel.settings.keys / "audit-ed25519.key"
    kernel.database.write(lambda tx: Audit.plain(tx, AuditRecord("E", "test", "0", WHO, ("x",), ())))
    Sealer(kernel.database, kernel.settings.data, signing_key(kernel.settings.keys)).seal()
    assert failing(client) == set()
    kept = key.read_bytes()
    key.unlink()
    assert failing(client) == {"keys"}
    assert not key.exists()
    key.write_bytes(bytes(32))
    assert failing(client) == {"keys"}
    key.write_bytes(kept)
    assert failing(client) == set()
    change(kernel, "UPDATE data_key SET wrapped = x'00112233445566778899aabbccddeeff00112233' WHERE scope = 'store'")
    assert failing(client) == {"keys"}


@pytest.mark.conformance(AREA, "a worker that has stopped is not ready")
def test_a_worker_that_has_stopped_is_not_ready(kernel: Kernel, ready: Readiness, client: FlaskClient) -> None:
    worker = Worker(kernel.database, kernel.bus, [], [], kernel.settings.worker)
    worker.start()
    ready.watch(worker)
    assert failing(client) == set()
    worker.stop()
    assert failing(client) == {"worker"}


@pytest.mark.conformance(AREA, "a server that is stopping is not ready, whatever else holds, and looks at nothing any more; /healthz says only that the process lives")
def test_a_server_that_is_stopping_is_not_ready(kernel: Kernel, ready: Readiness, client: FlaskClient) -> None:
    ready.stop()
    kernel.database.close()
    assert failing(client) == {"stopping", "database", "schema", "writable", "disk", "keys", "bus", "worker", "terminology", "models"}
    assert (client.get("/healthz").status_code, client.get("/healthz").json) == (200, {"status": "ok"})
