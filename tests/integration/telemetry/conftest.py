"""The telemetry intake and the FHIR API over WSGI, on each kind of database, with the policies that ship."""

from __future__ import annotations

import json

import pytest
from flask import Flask
from werkzeug.test import Client

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.errors import Unauthenticated
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import TelemetrySettings
from fhir_server import tables  # noqa: F401 declares what the database fixture makes
from fhir_server.api import blueprint as fhir_blueprint
from fhir_server.http.calls import Gate, Limits
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from ingest.telemetry import routes
from ingest.telemetry import tables as telemetry_tables  # noqa: F401 declares what the database fixture makes
from ingest.telemetry.intake import TelemetryIntake
from ingest.telemetry.publishing import Publisher

BASE = "http://127.0.0.1:8080/fhir"
SYSTEM = ("system/*.cruds",)
ENGINE = Subject(id="engine:integration", role="integration-engine", scopes=SYSTEM)


@pytest.fixture(scope="session")
def access():
    """The policies that ship."""
    return Access()


class World:
    """One store with one patient, and clients that speak for a role: `clinician`, `patient~ID`, `none`."""

    def __init__(self, database, access, data, **settings):
        self.database, self.access, self.data = database, access, data
        self.audit = Audit(data / "audit")
        store = open_store(database, access, self.audit, Outbox(TableBus(database), b"secret"), LabelService(), secret=b"0123456789abcdef", base=BASE)
        self.repository = Repository(store)
        self.publisher = Publisher(database, self.repository, ENGINE)
        self.intake = TelemetryIntake(database, self.publisher, data, TelemetrySettings(**settings))
        gate = Gate(self.repository, self._authenticate, BASE, Limits())
        app = Flask("test", static_folder=None)
        app.register_blueprint(fhir_blueprint(gate), url_prefix="/fhir")
        app.register_blueprint(routes.blueprint(gate, access, self.audit, self.intake))
        self.client = Client(app)
        operator = Scope(Subject(id="op", role="operator", scopes=SYSTEM), "create")
        self.patient = self.repository.create(operator, {"resourceType": "Patient", "name": [{"family": "Smith"}]}).stored.id
        self.other = self.repository.create(operator, {"resourceType": "Patient", "name": [{"family": "Jones"}]}).stored.id

    def _authenticate(self, token):
        if token == "none":
            raise Unauthenticated
        role, _, patient = token.partition("~")
        patient = f"Patient/{patient}" if patient else ""
        return Subject(id=f"test:{role}", role=role, patient=patient, scopes=("patient/*.cruds",) if patient else SYSTEM)

    def send(self, vendor, body, *, role="clinician", subject=None, timezone="", **headers):
        """Send a payload; a str or an object is JSON but for Apple Health."""
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        query = {"subject": f"Patient/{self.patient}" if subject is None else subject, **({"timezone": timezone} if timezone else {})}
        kind = headers.pop("content_type", "application/xml" if vendor == "apple-health" else "application/json")
        return self.client.post(f"/intake/telemetry/{vendor}", query_string=query, data=data, content_type=kind, headers={"Authorization": f"Bearer {role}", **headers})

    def observations(self, query=""):
        scope = Scope(Subject(id="look", role="psychiatric-clinician", scopes=SYSTEM), "search", "test")
        return [{**stored.json(), "version": stored.version} for stored in self.repository.all(scope, "Observation", query)]

    def of_code(self, code):
        return [each for each in self.observations() if any(coding["code"] == code for coding in each["code"]["coding"])]

    def count(self, table):
        with self.database.read() as session:
            return session.one(f"SELECT count(*) FROM {table}")[0]


@pytest.fixture
def make_world(database, access, tmp_path):
    """Make a world with settings of its own."""
    worlds = []

    def make(**settings):
        worlds.append(World(database, access, tmp_path / f"data{len(worlds)}", **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        world.audit.close()


@pytest.fixture
def world(make_world):
    return make_world()
