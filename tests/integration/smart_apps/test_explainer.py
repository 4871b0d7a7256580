"""The explanation page over the whole way: EHR launch, token, FHIR over real HTTP, page; as an app of the product's own server."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest
from flask import Flask
from starlette.applications import Starlette
from werkzeug.serving import make_server

from chartloop.kernel import auth
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from claims import tables as claims_tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server import tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server.api import blueprint as fhir_blueprint
from fhir_server.audit_event import AuditEvents
from fhir_server.http.calls import Gate, Limits
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from smart_apps.assembly import register_explainer, smart_side
from smart_apps.explainer.routes import explainer_routes
from smart_apps.explainer.settings import explainer
from smart_apps.server.launches import LaunchContext
from tests.integration.smart_apps.test_ehr import OPERATOR
from tests.integration.smart_apps.test_ehr_cards import CLINICIAN
from tests.journeys import risk_chart
from tests.journeys.risk_chart import RISK_ID

APP = "https://apps.example/explain"
CARD = json.dumps({"riskAssessment": RISK_ID})
BERT = {"resourceType": "Patient", "id": "bert", "name": [{"family": "Other"}], "generalPractitioner": [{"reference": "Practitioner/9"}]}
OF_BERT = {**risk_chart.versions()[0], "id": "of-bert", "subject": {"reference": "Patient/bert"}, "basis": [{"reference": "Patient/bert"}]}


class Hospital:
    """A server on a port, and the app beside it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        flask = Flask(__name__)
        self._server = make_server("127.0.0.1", 0, flask, threaded=True)
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        access, audit = Access(), Audit(folder)
        store = open_store(database, access, audit, Outbox(TableBus(database), b"s" * 32), LabelService(), secret=b"k" * 32, base=f"{self.root}/fhir")
        self.repository = Repository(store)
        register_explainer(database, [f"{APP}/launch"], f"{self.root}/fhir")
        self.side = smart_side(database, self.repository, access, lambda text, limit: [], Audit(folder), base_url=self.root, keys=folder / "keys")
        gate = Gate(self.repository, self._authenticate, f"{self.root}/fhir", Limits(1_000_000, 1_000_000), AuditEvents(database, access, audit, folder))
        flask.register_blueprint(fhir_blueprint(gate), url_prefix="/fhir")
        for blueprint in self.side.blueprints:
            flask.register_blueprint(blueprint)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.app = Starlette(routes=explainer_routes(explainer(APP, (f"{self.root}/fhir",))))

    def _authenticate(self, token: str):
        with self.database.read() as db:
            return auth.authenticate(db, token)

    def put(self, resource: dict) -> None:
        self.repository.update(Scope(OPERATOR, "update"), resource["resourceType"], resource["id"], json.dumps(resource).encode())

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def launched(self, context: LaunchContext, person=CLINICIAN) -> "Browser":
        """Launch as the EHR does, and follow it through to the app's page."""
        secret = self.side.sessions.enter(self.side.sessions.mint_ticket(person, "Ada"))
        session = self.side.sessions.find(secret)
        assert session is not None
        browser = Browser(self.app)
        there = browser.get("/explain/launch", iss=f"{self.root}/fhir", launch=self.side.server.launch(session, "chartloop-explainer", context))
        assert there.status_code == 302, there.text
        answer = httpx.get(there.headers["location"], cookies={"chartloop_ehr": secret})
        back = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        browser.landed = browser.get("/explain/callback", **back)
        return browser


class Browser:
    """A browser at the app that keeps cookies and follows nothing."""

    def __init__(self, app: Starlette) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://apps.example")
        self.cookies = self._client.cookies
        self.landed: httpx.Response | None = None

    def get(self, path: str, **params: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            return await self._client.get(path, params=params)

        return anyio.run(ask)

    def post(self, path: str, **form: str) -> httpx.Response:
        async def send() -> httpx.Response:
            return await self._client.post(path, data=form)

        return anyio.run(send)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: what is stored how is not what these tests are about."""
    return f"sqlite:///{tmp_path / 'chartloop.sqlite3'}"


@pytest.fixture
def hospital(database: Database, tmp_path: Path) -> Iterator[Hospital]:
    started = Hospital(database, tmp_path)
    try:
        for resource in (*risk_chart.resources(), BERT, *risk_chart.versions(), OF_BERT):
            started.put(resource)
        yield started
    finally:
        started.close()


@pytest.mark.conformance("Explanation page", "an EHR launch with PKCE opens the estimate that the card names; the token stays on the server")
def test_a_launch_with_the_context_of_a_card_opens_its_estimate(hospital: Hospital) -> None:
    browser = hospital.launched(LaunchContext(patient="anna", app_context=CARD))
    assert browser.landed is not None
    assert (browser.landed.status_code, browser.landed.headers["location"]) == (303, "/explain/")
    cookie = next(c for c in browser.landed.headers.get_list("set-cookie") if c.startswith("chartloop_explainer="))
    for attribute in ("HttpOnly", "SameSite=lax", "Secure", "Path=/explain/"):
        assert attribute in cookie
    answer = browser.get("/explain/")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert answer.headers["content-security-policy"].endswith(f"frame-ancestors {hospital.root}")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "beside a baseline of" in answer.text
    assert answer.text.count('class="mark"') == 3
    assert f"{hospital.root}/cds-services/models/prevent-stroke-10y" in answer.text
    assert browser.get("/explain/style.css").headers["content-type"].startswith("text/css")
    assert browser.get("/explain").headers["location"] == "/explain/"


@pytest.mark.conformance("Explanation page", "an estimate that is not of the launch's patient is refused")
def test_an_estimate_of_another_patient_is_refused(hospital: Hospital) -> None:
    browser = hospital.launched(LaunchContext(patient="anna", app_context=json.dumps({"riskAssessment": "of-bert"})))
    answer = browser.get("/explain/")
    assert answer.status_code == 404
    assert "Nothing to explain" in answer.text
    assert browser.get("/explain/", estimate="of-bert").status_code == 404
    assert browser.get("/explain/", estimate=RISK_ID).status_code == 200
    assert browser.get("/explain/", estimate="../Patient/bert").status_code == 404


def test_a_launch_without_context_opens_the_newest_estimate(hospital: Hospital) -> None:
    assert "5.7" in hospital.launched(LaunchContext(patient="anna")).get("/explain/").text
    wrong = hospital.launched(LaunchContext(patient="anna", app_context="{}")).get("/explain/")
    assert wrong.status_code == 404
    assert "does not say which estimate" in wrong.text


@pytest.mark.conformance("Explanation page", "deleted and forbidden resources render sensible pages")
def test_what_was_deleted_or_is_closed_renders_a_page(hospital: Hospital) -> None:
    browser = hospital.launched(LaunchContext(patient="anna", app_context=CARD))
    for type_, id_ in (("Observation", "chol"), ("Condition", "dm")):
        hospital.repository.delete(Scope(OPERATOR, "delete"), type_, id_)
    answer = browser.get("/explain/")
    assert answer.status_code == 200
    assert "Observation/chol: deleted since, or not visible to you." in answer.text
    hospital.repository.delete(Scope(OPERATOR, "delete"), "RiskAssessment", RISK_ID)
    assert browser.get("/explain/").status_code == 404
    closed = hospital.launched(LaunchContext(patient="anna", app_context=CARD), replace(CLINICIAN, role="billing-administrator")).get("/explain/")
    assert closed.status_code == 404


@pytest.mark.conformance("Explanation page", "nobody gets in without a launch, and a session ends with its token")
def test_nobody_gets_in_without_a_launch_and_a_session_ends_with_its_token(hospital: Hospital) -> None:
    stranger = Browser(hospital.app)
    answer = stranger.get("/explain/")
    assert answer.status_code == 401
    assert "Open this page from your EHR" in answer.text
    assert stranger.get("/explain/launch", iss="https://evil.example/fhir", launch="x").status_code == 400
    assert stranger.get("/explain/callback", state="made-up", code="made-up").status_code == 400
    assert "explanation page was not launched" in stranger.get("/explain/callback", error="access_denied").text
    browser = hospital.launched(LaunchContext(patient="anna", app_context=CARD))
    hospital.database.write(lambda tx: tx.run("update access_token set revoked = 1"))
    answer = browser.get("/explain/")
    assert answer.status_code == 401
    assert "Your session has ended" in answer.text


@pytest.mark.conformance("Explanation page", "leaving is a form of the own session, and revokes the token")
def test_leaving_revokes_the_token(hospital: Hospital) -> None:
    browser = hospital.launched(LaunchContext(patient="anna", app_context=CARD))
    assert browser.get("/explain/leave").status_code == 405
    assert browser.post("/explain/leave").status_code == 403
    assert browser.get("/explain/").status_code == 200
    csrf = re.findall(r'name="csrf" value="([^"]+)"', browser.get("/explain/").text)[0]
    answer = browser.post("/explain/leave", csrf=csrf)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{hospital.root}/ehr/")
    with hospital.database.read() as db:
        assert db.all("select revoked from access_token") == [(1,)]
    assert browser.get("/explain/").status_code == 401


def test_an_ehr_that_does_not_answer_is_a_page(hospital: Hospital) -> None:
    browser = hospital.launched(LaunchContext(patient="anna", app_context=CARD))
    hospital.close()
    answer = browser.get("/explain/")
    assert answer.status_code == 502
    assert "The EHR could not answer" in answer.text
