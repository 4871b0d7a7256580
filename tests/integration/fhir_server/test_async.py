"""Requests that are answered later (Prefer: respond-async), on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.http import WsgiApp
from fhir_server.background.jobs import AsyncJobs
from fhir_server.background.runner import AsyncRunner
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE, scope
from tests.integration.fhir_server.test_http import Api, _authenticate

LATER = {"Prefer": "respond-async"}
PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
ANN: dict[str, Any] = {"resourceType": "Patient", "id": "p", "name": [{"family": "Ann"}]}


class Later(Api):
    """A client of an API that answers later, and the worker behind it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs = AsyncJobs(store, per_subject=3, keep_h=1)
        self.app: WsgiApp = fhir_wsgi(Gate(Repository(store), _authenticate, BASE, Limits(), jobs=self.jobs))
        self._client = Client(self.app)

    def work(self) -> int:
        """Let another process carry out what waits."""
        return AsyncRunner(AsyncJobs(self.store, keep_h=1)).work_off(self.app)

    def place(self, answer: TestResponse) -> str:
        """Where a job that was accepted is asked for."""
        assert (answer.status_code, answer.data) == (202, b""), answer.data
        assert answer.headers["Content-Location"].startswith(f"{BASE}/_async/")
        return answer.headers["Content-Location"].removeprefix("http://127.0.0.1:8080")

    def entry(self, place: str, role: str = "operator") -> dict[str, Any]:
        """The one entry of a result."""
        answer = self("GET", place, role=role)
        assert answer.status_code == 200, answer.data
        said = json.loads(answer.data)
        assert (said["resourceType"], said["type"], "Expires" in answer.headers) == ("Bundle", "batch-response", True)
        [entry] = said["entry"]
        return dict(entry)


@pytest.fixture
def api(store: Store) -> Later:
    """A store with one patient."""
    api = Later(store)
    assert api("PUT", "/fhir/Patient/p", ANN).status_code == 201
    return api


def _bundle(type_: str, *ids: str) -> dict[str, Any]:
    entries = [{"resource": {**ANN, "id": id_}, "request": {"method": "PUT", "url": f"Patient/{id_}"}} for id_ in ids]
    return {"resourceType": "Bundle", "type": type_, "entry": entries}


@pytest.mark.conformance("FHIR R4: interactions", "Prefer: respond-async of searches, $everything, batch and transaction: 202, status, and the answer as R5 lays it out")
@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("GET", "/fhir/Patient?family=Ann&_format=json", None, "searchset"), ("POST", "/fhir/Patient/_search", b"family=Ann&_format=xml", "searchset"),
        ("GET", "/fhir/Patient/p/$everything", None, "searchset"), ("POST", "/fhir", _bundle("batch", "q"), "batch-response"),
        ("POST", "/fhir/", _bundle("transaction", "q"), "transaction-response"),
    ],
)  # fmt: skip
def test_a_request_is_answered_later_as_it_would_be_now(api: Later, method: str, path: str, body: object, kind: str) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"} if isinstance(body, bytes) else {}
    place = api.place(api(method, path, body, **LATER, **form))
    waiting = api("GET", place)
    assert (waiting.status_code, waiting.headers["X-Progress"], waiting.headers["Retry-After"]) == (202, "waiting", "1")
    assert api("GET", "/fhir/Patient/q").status_code == 404
    assert api.work() == 1
    entry = api.entry(place)
    assert (entry["response"]["status"], entry["resource"]["type"]) == ("200 OK", kind)
    now = json.loads(api(method, path.replace("&_format=json", ""), body.replace(b"&_format=xml", b"") if isinstance(body, bytes) else body, **form).data)
    if kind == "searchset":
        assert entry["resource"] == now
    else:
        assert api("GET", "/fhir/Patient/q").status_code == 200
    assert api.work() == 0
    assert api("DELETE", place).status_code == 202
    assert api("GET", place).status_code == 404


@pytest.mark.conformance("FHIR R4: interactions", "a failure that is answered later is in the entry's response, with its OperationOutcome")
def test_a_failure_is_the_answer_of_the_entry(api: Later) -> None:
    place = api.place(api("GET", "/fhir/Patient?colour=red", **LATER))
    api.work()
    entry = api.entry(place)
    assert (entry["response"]["status"], entry["response"]["outcome"]["issue"][0]["expression"]) == ("400 Bad Request", ["http.colour"])
    assert "resource" not in entry
    lenient = api.place(api("GET", "/fhir/Patient?colour=red", Prefer="handling=lenient, respond-async"))
    api.work()
    assert api.entry(lenient)["response"]["status"] == "200 OK"


def test_a_request_in_xml_is_answered_later_in_json(api: Later) -> None:
    entry = '<entry><request><method value="GET"/><url value="Patient/p"/></request></entry>'
    bundle = f'<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/>{entry}</Bundle>'.encode()
    place = api.place(api("POST", "/fhir?_format=xml", bundle, Content_Type="application/fhir+xml", Accept="application/fhir+xml", **LATER))
    api.work()
    assert api.entry(place)["resource"]["entry"][0]["resource"]["id"] == "p"
    assert api("GET", place, Accept="application/fhir+xml").data.startswith(b"<")


@pytest.mark.conformance("FHIR R4: interactions", "other interactions are answered at once, whatever Prefer says")
def test_what_cannot_wait_is_answered_at_once(api: Later) -> None:
    assert api("GET", "/fhir/Patient/p", **LATER).status_code == 200
    assert api("POST", "/fhir/Patient", {"resourceType": "Patient"}, **LATER).status_code == 201
    assert Api(api.store)("GET", "/fhir/Patient", **LATER).status_code == 200
    assert Api(api.store)("GET", "/fhir/_async/x").status_code == 404


@pytest.mark.conformance("Attacks", "55: a job belongs to its reader")
@pytest.mark.conformance("Access", "a job is there for who asked for it alone; it runs under the rights of the moment in which it runs")
def test_a_job_belongs_to_its_reader(api: Later) -> None:
    note = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}}
    assert api("PUT", "/fhir/Observation/o", note).status_code == 201
    place = api.place(api("GET", "/fhir/Observation?patient=p", role="clinician", **LATER))
    missing = "/fhir/_async/aaaaaaaaaaaaaaaaaaaaaaaaaa"
    for method in ("GET", "DELETE"):
        others, nobody = api(method, place, role="psychiatric-clinician"), api(method, missing, role="psychiatric-clinician")
        assert (others.status_code, others.data) == (404, nobody.data)
    assert api("GET", place, role="").status_code == 401
    assert api("PUT", "/fhir/Observation/o", {**note, "meta": {"security": [PSY]}}).status_code == 200
    api.work()
    assert "entry" not in api.entry(place, "clinician")["resource"]


@pytest.mark.conformance("Attacks", "55: jobs are bounded and results expire")
@pytest.mark.conformance("FHIR R4: interactions", "a subject has a bounded number of jobs: more answer 429 with Retry-After; results expire")
def test_jobs_are_bounded_and_results_expire(store: Store, fake_clock: FakeClock) -> None:
    api = Later(store)
    places = [api.place(api("GET", "/fhir/Patient", **LATER)) for _ in range(3)]
    refused = api("GET", "/fhir/Patient", **LATER)
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
    assert api.place(api("GET", "/fhir/Patient", role="clinician", **LATER))
    assert api("DELETE", places[0]).status_code == 202
    api.work()
    assert [api("GET", place).status_code for place in places] == [404, 200, 200]
    fake_clock.advance(3601)
    assert api("GET", places[1]).status_code == 404
    api.jobs.forget()
    with store.db.read() as session:
        assert session.one("SELECT COUNT(*) FROM async_job") == (0,)


@pytest.mark.conformance("FHIR R4: interactions", "a job whose worker died is taken up again; a transaction is carried out exactly once, a batch not twice")
def test_a_job_survives_its_worker(store: Store, fake_clock: FakeClock) -> None:
    api = Later(store)
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}]}
    read, once, batch = (api.place(api("POST" if body else "GET", path, body, **LATER)) for path, body in (
        ("/fhir/Patient", None), ("/fhir", transaction), ("/fhir", {**transaction, "type": "batch"}),
    ))  # fmt: skip
    dead = AsyncJobs(store)
    taken = [dead.take(), dead.take(), dead.take()]
    assert sorted(job.request.kind for job in taken if job) == ["batch", "read", "transaction"]
    assert (dead.take(), api.work(), api("GET", once).headers["X-Progress"]) == (None, 0, "running")
    fake_clock.advance(61)
    assert api.work() == 3
    assert [api.entry(place)["response"]["status"] for place in (read, once, batch)] == ["200 OK", "200 OK", "500 Internal Server Error"]
    count = json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"]
    assert count == 1


def test_a_transaction_that_was_stored_is_not_stored_again(store: Store, fake_clock: FakeClock) -> None:
    api = Later(store)
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}]}
    place = api.place(api("POST", "/fhir", transaction, **LATER))
    dying = AsyncJobs(store)
    job = dying.take()
    assert job is not None
    Repository(store).transaction(scope("operator"), job.request.body, also=lambda tx: dying.stored(tx, job.id))
    fake_clock.advance(61)
    assert api.work() == 1
    entry = api.entry(place)
    assert (entry["response"]["status"][:3], entry["response"]["outcome"]["issue"][0]["code"]) == ("500", "incomplete")
    assert json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"] == 1


@pytest.mark.conformance("FHIR R4: interactions", "DELETE of a job cancels it: a transaction that runs is rolled back")
def test_a_cancelled_transaction_stores_nothing(api: Later) -> None:
    place = api.place(api("POST", "/fhir", _bundle("transaction", "q"), **LATER))
    runner = AsyncRunner(AsyncJobs(api.store))
    taken = runner.jobs.take
    cancelling: list[int] = []

    def take_and_cancel() -> Any:
        job = taken()
        if job is not None:
            cancelling.append(api("DELETE", place).status_code)
        return job

    runner.jobs.take = take_and_cancel  # type: ignore[method-assign]
    assert runner.work_off(api.app) == 1
    assert cancelling == [202]
    assert api("GET", "/fhir/Patient/q").status_code == 404
    assert api("GET", place).status_code == 404


def test_threads_carry_out_what_waits(store: Store, make_store: Callable[..., Store]) -> None:
    api = Later(store)
    runner = AsyncRunner(api.jobs, threads=2)
    runner.start(api.app)
    try:
        places = [api.place(api("GET", "/fhir/Patient", **LATER)) for _ in range(3)]
        tries = 0
        while any(api("GET", place).status_code == 202 for place in places):
            tries += 1
            assert tries < 2000
            threading.Event().wait(0.01)
        assert {api.entry(place)["response"]["status"] for place in places} == {"200 OK"}
    finally:
        runner.stop()
