"""Who comes in too many is told to come again, with Retry-After; who is inside goes on."""

from __future__ import annotations

import threading

import pytest
from werkzeug.test import Client

from fhir_server.background.jobs import AsyncJobs
from fhir_server.background.runner import AsyncRunner
from fhir_server.http.calls import Gate, Limits
from fhir_server.wsgi import fhir_wsgi
from tests.integration.operations.conftest import Operated

PATIENT = {"resourceType": "Patient", "id": "ann", "name": [{"family": "Ann"}]}


@pytest.fixture(scope="module")
def small(operated: Operated) -> Operated:
    """The house, with somebody to send readings for."""
    operated.put(PATIENT, operated.token("operator"))
    return operated


class Slow:
    """An upload whose bytes come when it is let go."""

    def __init__(self) -> None:
        self.waiting, self.go = threading.Event(), threading.Event()

    def read(self, *_size: int) -> bytes:
        self.waiting.set()
        self.go.wait(30)
        return b""


@pytest.mark.conformance("Operations", "uploads of telemetry beyond their places answer 503 with Retry-After, and the first goes on")
def test_uploads_beyond_their_places_are_told_to_come_again(small: Operated) -> None:
    slow, answers = Slow(), []
    path, kind = "/intake/telemetry/dexcom?subject=Patient/ann", "application/json"
    headers = {"Authorization": f"Bearer {small.token('operator')}"}

    def upload() -> None:
        answers.append(Client(small.wsgi).post(path, headers=headers, content_type=kind, environ_overrides={"wsgi.input": slow, "CONTENT_LENGTH": "100"}))

    first = threading.Thread(target=upload)
    first.start()
    assert slow.waiting.wait(10)
    refused = Client(small.wsgi).post(path, headers=headers, content_type=kind, data=b"{}")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json["issue"][0]["code"] == "transient"
    assert Client(small.wsgi).get("/healthz").status_code == 200
    slow.go.set()
    first.join(10)
    assert [answer.status_code for answer in answers] != [503]
    after = Client(small.wsgi).post(path, headers=headers, content_type=kind, data=b"{}")
    assert after.status_code != 503


@pytest.mark.conformance("Operations", "jobs of the asynchronous pattern beyond what may wait in all answer 503 with Retry-After; one subject's own 429")
def test_jobs_beyond_what_may_wait_are_told_to_come_again(small: Operated) -> None:
    jobs = AsyncJobs(small.door.store, per_subject=2, keep_h=1, most=3)
    operator = {role: small.subject(role) for role in ("operator", "auditor")}
    gate = Gate(small.door.repository, lambda token: operator[token], "http://127.0.0.1:8080/fhir", Limits(), jobs=jobs)
    client = Client(app := fhir_wsgi(gate))

    def ask(role: str) -> tuple[int, str]:
        answer = client.get("/fhir/Patient", headers={"Authorization": f"Bearer {role}", "Prefer": "respond-async"})
        return answer.status_code, answer.headers.get("Retry-After", "")

    assert [ask("operator")[0] for _ in range(2)] == [202, 202]
    assert ask("operator") == (429, "1")
    assert ask("auditor")[0] == 202
    assert ask("auditor") == (503, "1")
    assert AsyncRunner(jobs).work_off(app) == 3
    assert ask("auditor")[0] == 202, "what is done waits no more"
