"""The CDS Hooks service over WSGI, on a store of each kind, with tokens, policies and audit as in the product."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from werkzeug.test import Client, TestResponse

from cds_hooks import routes, tables  # noqa: F401  (declares what the database fixture makes)
from cds_hooks.chart import Chart
from cds_hooks.ehrs import EhrRule, Ehrs
from cds_hooks.feedback_log import FeedbackLog
from cds_hooks.risk_card import Surroundings
from cds_hooks.shown_log import ShownLog
from cds_hooks.stroke_risk import StrokeRisk
from chartloop.ehrs_elsewhere import asking
from chartloop.kernel import auth, auth_tables  # noqa: F401  (declares its table)
from chartloop.kernel import tables as kernel_tables  # noqa: F401
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.reading import sealed_records
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database
from chartloop.kernel.http import with_common_headers
from chartloop.kernel.outbox import Outbox
from fhir_server import tables as fhir_tables  # noqa: F401
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from tests.unit.cds_hooks.samples import FHIR, KEY, LIGHTGBM, PREVENT, ROOT, call

EHR_PAGE = "https://ehr.example"
LABEL = {
    "title": "PREVENT <b>stroke</b>",
    "version": "1.0.0",
    "attributes": [
        {"number": 2, "section": "Details and output", "attribute": "Funding source", "value": "unknown: nobody wrote it down"},
        {"number": 1, "section": "Details and output", "attribute": "Developer name and contact", "value": "American Heart Association <script>"},
        *({"number": number, "section": f"Section {number // 5}", "attribute": f"Attribute {number}", "value": f"Value {number}"} for number in range(3, 31)),
        {"number": 31, "section": "Section 6", "attribute": "How often corrected", "value": ""},
    ],
}


@dataclass
class World:
    """One server: what is stored, who may ask, and its audit log."""

    database: Database
    repository: Repository
    audit: Audit
    data: Path
    labels: dict[str, Any] = field(default_factory=lambda: {PREVENT: LABEL})
    validated: set[str] = field(default_factory=lambda: {LIGHTGBM})
    per_day: int = 5
    rules: tuple[EhrRule, ...] = ()
    callers: Any = None

    def __post_init__(self) -> None:
        around = Surroundings(ROOT, "http://127.0.0.1:8501/explain/launch", KEY, 365 * 86_400 * 1_000_000, lambda model: model in self.validated, lambda model: model in self.labels)
        engine = Subject(id="engine:cds", role="risk-engine", scopes=("system/*.cruds",))
        ehrs = Ehrs(self.rules, self.repository, engine, self.audit, asking(allow_private=True, timeout_s=5.0))
        chart = Chart(self.repository, lambda token: auth.authenticate(self.database, token), FHIR, ehrs)
        log = FeedbackLog(self.database, self.audit, self.per_day)
        app = Flask(__name__)
        app.register_blueprint(routes.blueprint(routes.Cds(StrokeRisk(chart, around, ShownLog(self.audit, chart.authenticate, FHIR)), log, self.labels.get, KEY, 200_000, ROOT, self.callers)))
        self._client = Client(with_common_headers(app.wsgi_app, origins=[EHR_PAGE]))
        self._sealer = Sealer(self.database, self.data, Ed25519PrivateKey.generate())
        self.operator = Scope(Subject(id="test:operator", role="operator", scopes=("system/*.cruds",)), "test", "setup")

    def put(self, *resources: dict[str, Any]) -> None:
        for resource in resources:
            self.repository.update(self.operator, resource["resourceType"], resource["id"], json.dumps(resource).encode())

    def token(self, role: str = "clinician", ttl_s: int = 300, **subject: Any) -> str:
        someone = replace(Subject(id=f"test:{role}", role=role, user="Practitioner/1", scopes=("user/*.rs",)), **subject)
        return self.database.write(lambda tx: auth.issue(tx, someone, ttl_s))

    def open(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            said.setdefault("Content-Type", "application/json")
        return self._client.open(path, method=method, data=data, headers=said)

    def ask(self, **changes: Any) -> TestResponse:
        return self.open("POST", "/cds-services/stroke-risk", call(**changes))

    def cards(self, **changes: Any) -> list[dict[str, Any]]:
        answer = self.ask(**changes)
        assert answer.status_code == 200, answer.data
        return list(answer.get_json()["cards"])

    def records(self) -> list[dict[str, Any]]:
        """Everything in the audit log but what set the stage and that cards were shown, the oldest first."""
        return [record for record in self.every_record() if record["interaction"] != "prediction-shown"]

    def shown(self) -> list[dict[str, Any]]:
        """What is recorded of cards that were shown, the oldest first."""
        return [record for record in self.every_record() if record["interaction"] == "prediction-shown"]

    def every_record(self) -> list[dict[str, Any]]:
        """Everything in the audit log but what set the stage, the oldest first."""
        self._sealer.seal()
        with self.database.read(snapshot=True) as session:
            found = sealed_records(session, audit_directory(self.data), None, 10_000)
        kept = [json.loads(record.body) for record in reversed(found)]
        return [record for record in kept if record["request"] != "setup"]

    def kept_feedback(self) -> list[tuple[Any, ...]]:
        with self.database.read() as session:
            return session.all("SELECT card, happened, service, model, outcome, reason_system, reason_code, comment FROM cds_feedback ORDER BY happened")


@pytest.fixture(scope="session")
def access() -> Access:
    """The policies that ship."""
    return Access()


@pytest.fixture
def world(database: Database, access: Access, tmp_path: Path, fake_clock: FakeClock) -> Iterator[World]:
    """A server, once for each kind of database, on the morning of the predictions."""
    audit = Audit(tmp_path / "data")
    store = open_store(database, access, audit, Outbox(TableBus(database), KEY), LabelService(), secret=KEY, base=FHIR)
    yield World(database, Repository(store), audit, tmp_path / "data")
    audit.close()
