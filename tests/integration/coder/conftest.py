"""One store with the policies that ship, a coder that needs no process, and the claim of one visit."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel import clock
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from claims.coding.assignment import AssignmentConsumer, Policy
from claims.coding.corrections import CorrectionsConsumer
from claims.coding.examples import ExampleLedger
from fhir_server import tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from predictions.calibration import DEMO_RECORD, read_record
from predictions.coder import Coder
from predictions.pool import Coded
from terminology.icd10cm import load

SECRET = b"0123456789abcdef"
S = "https://chartloop.example/fhir"
SUGGESTION = f"{S}/StructureDefinition/suggestion"
NOTE = "Office visit.\nAssessment and plan\nEssential hypertension, continue lisinopril.\nType 2 diabetes mellitus without complications.\nNo pneumonia.\nPatient reports some tiredness lately.\n"


class InProcess:
    """The shipped coder without a process of its own; counts its calls."""

    def __init__(self) -> None:
        self.coder = Coder.open()
        self.calls = 0

    def suggest(self, text: str) -> Coded:
        self.calls += 1
        return Coded(tuple(self.coder.suggest(text)), self.coder.version, self.coder.model_hash)


@pytest.fixture(scope="session")
def shipped() -> InProcess:
    return InProcess()


@pytest.fixture(scope="session")
def access() -> Access:
    return Access()


@pytest.fixture
def repository(database: Database, access: Access, tmp_path: Path) -> Iterator[Repository]:
    audit = Audit(tmp_path / "data")
    yield Repository(open_store(database, access, audit, Outbox(TableBus(database), SECRET), LabelService(), secret=SECRET, base="http://127.0.0.1:8080/fhir"))
    audit.close()


def scope(role: str, user: str = "") -> Scope:
    return Scope(Subject(id=f"test:{role}", role=role, user=user, scopes=("system/*.cruds",)), "test", "request-1")


class Loop:
    """Writes what intake and claims write, and hands events to the coding consumers."""

    def __init__(self, repository: Repository, coder: InProcess, ledger: Path) -> None:
        self.repository, self.coder, self.ledger_path = repository, coder, ledger
        self.ledger = ExampleLedger(ledger)
        self.engine = Subject(id="engine:coding", role="coding-engine", scopes=("system/*.cruds",))
        self.use(demo=True)
        self.seen: set[str] = set()

    def use(self, *, demo: bool) -> None:
        icd, labels = load(), LabelService()
        self.assignment = AssignmentConsumer(self.repository, self.engine, self.coder, Policy(read_record(DEMO_RECORD), demo), icd, labels)
        self.corrections = CorrectionsConsumer(self.repository, self.engine, self.ledger, b"training", icd, labels)

    def put(self, resource: dict[str, Any]) -> None:
        self.repository.update(scope("operator"), resource["resourceType"], resource["id"], resource)

    def read(self, name: str) -> dict[str, Any]:
        return self.repository.read(scope("coding-engine"), *name.split("/")).json()

    def event(self, subject: str) -> None:
        """Deliver an event to whichever consumer wants it."""
        event = Event(f"e{clock.now_us()}", "ResourceUpdated", subject, 0, "k", "", 0)
        for consumer in (self.assignment, self.corrections):
            if subject.split("/", maxsplit=1)[0] in consumer.subjects:
                consumer.handle(event, lambda _tx: None)

    def visit(self, text: str = NOTE, *, note_type: str = "11506-3") -> None:
        """A patient, a finished encounter, a note, a draft claim."""
        self.put({"resourceType": "Patient", "id": "p1"})
        self.put({"resourceType": "Practitioner", "id": "dr1"})
        self.put({"resourceType": "Practitioner", "id": "c1"})
        self.put({"resourceType": "Organization", "id": "o1", "name": "Clinic"})
        self.put({"resourceType": "Organization", "id": "payer", "name": "Payer"})
        self.put(
            {
                "resourceType": "Coverage",
                "id": "cov1",
                "status": "active",
                "beneficiary": {"reference": "Patient/p1"},
                "payor": [{"reference": "Organization/payer"}],
            }
        )
        self.put(
            {
                "resourceType": "Encounter",
                "id": "e1",
                "status": "finished",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
                "subject": {"reference": "Patient/p1"},
            }
        )
        self.note(text, note_type=note_type)
        self.put(
            {
                "resourceType": "Claim",
                "id": "cl1",
                "status": "draft",
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]},
                "use": "claim",
                "patient": {"reference": "Patient/p1"},
                "created": "2026-11-22",
                "provider": {"reference": "Organization/o1"},
                "insurer": {"reference": "Organization/payer"},
                "priority": {"coding": [{"code": "normal"}]},
                "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/cov1"}}],
                "item": [
                    {
                        "sequence": 1,
                        "productOrService": {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "G0463"}]},
                        "servicedDate": "2026-11-20",
                        "unitPrice": {"value": 72, "currency": "USD"},
                        "encounter": [{"reference": "Encounter/e1"}],
                    }
                ],
                "total": {"value": 72, "currency": "USD"},
            }
        )

    def note(self, text: str, *, id_: str = "n1", note_type: str = "11506-3") -> None:
        self.put(
            {
                "resourceType": "DocumentReference",
                "id": id_,
                "status": "current",
                "docStatus": "final",
                "type": {"coding": [{"system": "http://loinc.org", "code": note_type}]},
                "subject": {"reference": "Patient/p1"},
                "date": "2026-11-20T10:00:00Z",
                "author": [{"reference": "Practitioner/dr1"}],
                "context": {"encounter": [{"reference": "Encounter/e1"}]},
                "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(text.encode()).decode()}}],
            }
        )

    def tasks(self) -> list[dict[str, Any]]:
        return [t.json() for t in self.repository.all(scope("behavioral-health-coder"), "Task", "_count=50")]

    def codes(self) -> list[str]:
        return [d["diagnosisCodeableConcept"]["coding"][0]["code"] for d in self.read("Claim/cl1").get("diagnosis", [])]

    def complete(self, task: dict[str, Any], output: list[dict[str, Any]], *, role: str = "coder") -> None:
        """PUT the Task as the review app does."""
        body = {**task, "status": "completed", "owner": {"reference": "Practitioner/c1"}, "output": output}
        self.repository.update(scope(role, "Practitioner/c1"), "Task", task["id"], body, if_match=int(task["meta"]["versionId"]))
        self.event(f"Task/{task['id']}")


@pytest.fixture
def loop(repository: Repository, shipped: InProcess, tmp_path: Path) -> Loop:
    return Loop(repository, shipped, tmp_path / "training" / "examples.jsonl")


def offered(task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Suggestions of a Task: code -> the nested facts."""
    found = {}
    for entry in task["input"]:
        for extension in entry.get("extension", ()):
            if extension["url"] == SUGGESTION:
                facts = {e["url"]: next(v for k, v in e.items() if k.startswith("value")) for e in extension["extension"]}
                found[entry["valueCoding"]["code"]] = facts | {"reasons": [e["valueCode"] for e in extension["extension"] if e["url"] == "reason"]}
    return found


def decide(kind: str, code: str, suggestion: str = "", **facts: Any) -> dict[str, Any]:
    """A Task.output as the review app writes it."""
    nested = [{"url": "suggestion", "valueString": suggestion}] if suggestion else []
    nested += [{"url": k, "valueUnsignedInt": v} for k, v in facts.items()]
    output: dict[str, Any] = {
        "type": {"coding": [{"system": f"{S}/CodeSystem/task-output", "code": kind}]},
        "valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code},
    }
    return output | ({"extension": [{"url": f"{S}/StructureDefinition/decision", "extension": nested}]} if nested else {})


def chart_complete() -> dict[str, Any]:
    return {"type": {"coding": [{"system": f"{S}/CodeSystem/task-output", "code": "chart-complete"}]}, "valueBoolean": True}
