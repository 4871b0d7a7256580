"""One store with the policies that ship, and the risk engine behind a real worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Worker
from fhir_server import tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from predictions.risk import tables as risk_tables  # noqa: F401
from predictions.risk.gathering import Gathering
from predictions.risk.jobs import PredictionConsumer
from predictions.risk.reading import Limits
from predictions.risk.registry import Registry

SECRET = b"0123456789abcdef"


def scope(role: str) -> Scope:
    return Scope(Subject(id=f"test:{role}", role=role, scopes=("system/*.cruds",)), "test", "request-1")


@pytest.fixture(scope="session")
def access() -> Access:
    return Access()


class Clinic:
    """Writes what intake writes, runs the engine, reads what it wrote."""

    def __init__(self, database: Database, access: Access, data: Path) -> None:
        self.database, self.bus, self.audit = database, TableBus(database), Audit(data)
        store = open_store(database, access, self.audit, Outbox(self.bus, SECRET), LabelService(), secret=SECRET, base="http://127.0.0.1:8080/fhir")
        self.repository = Repository(store)
        self.engine = engine_subject(access.policies, "risk")
        self.models = data / "models" / "risk"
        self.registry = Registry(self.models, demo=True)
        self.runs: list[str] = []

    def consumer(self, *, min_interval_s: float = 0.0) -> PredictionConsumer:
        made = PredictionConsumer(self.database, self.repository, self.engine, self.registry, limits=Limits(), min_interval_s=min_interval_s, base="http://127.0.0.1:8080/fhir")
        made._gathering = Counting(made._gathering, self.runs)
        return made

    @contextmanager
    def worker(self, *, min_interval_s: float = 0.0) -> Iterator[Worker]:
        """A real worker over real events."""
        worker = Worker(self.database, self.bus, [self.consumer(min_interval_s=min_interval_s)], [], WorkerSettings(poll_interval_s=0.02))
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()

    def work(self, *, min_interval_s: float = 0.0) -> None:
        """Run the engine until nothing waits."""
        with self.worker(min_interval_s=min_interval_s) as worker:
            assert worker.idle(60)

    def put(self, *resources: dict[str, Any]) -> None:
        for resource in resources:
            self.repository.update(scope("operator"), resource["resourceType"], resource["id"], resource)

    def transaction(self, resources: list[dict[str, Any]]) -> None:
        entries = [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in resources]
        self.repository.transaction(scope("operator"), {"resourceType": "Bundle", "type": "transaction", "entry": entries})

    def delete(self, name: str) -> None:
        self.repository.delete(scope("operator"), *name.split("/"))

    def assessments(self, role: str = "clinician", patient: str = "p1") -> list[dict[str, Any]]:
        return [s.json() for s in self.repository.all(scope(role), "RiskAssessment", f"patient=Patient/{patient}")]

    def assessment(self, role: str = "clinician") -> dict[str, Any]:
        (found,) = self.assessments(role)
        return found

    def provenances(self, role: str = "clinician") -> list[dict[str, Any]]:
        return [s.json() for s in self.repository.all(scope(role), "Provenance", "_count=100")]


class Counting:
    """The gathering, counted: one for each run."""

    def __init__(self, gathering: Gathering, runs: list[str]) -> None:
        self._gathering, self._runs = gathering, runs

    def features(self, scope: Scope, patient: str, *, at_us: int) -> Any:
        self._runs.append(patient)
        return self._gathering.features(scope, patient, at_us=at_us)


@pytest.fixture
def clinic(database: Database, access: Access, tmp_path: Path) -> Iterator[Clinic]:
    made = Clinic(database, access, tmp_path / "data")
    yield made
    made.audit.close()


def extensions(resource: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [e for e in resource.get("extension", []) if e["url"].endswith(f"/{name}")]


def nested(extension: dict[str, Any]) -> dict[str, Any]:
    """url -> value of an extension with extensions; of a repeated one the last."""
    return {e["url"]: next(v for k, v in e.items() if k.startswith("value")) for e in extension["extension"]}
