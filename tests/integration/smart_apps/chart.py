"""A chart for the EHR's tests: two notes, one of them psychiatric, a claim that was paid, a review that waits."""

import base64
from typing import Any

from tests.journeys import chart as review_chart

BASE = "https://chartloop.example/fhir"
PATIENT = {"reference": "Patient/p1"}
MONEY = {"value": 80.0, "currency": "USD"}


def concept(code: str, system: str = "", display: str = "") -> dict[str, Any]:
    """Write a CodeableConcept."""
    coding = {"system": system, "code": code, "display": display}
    return {"coding": [{name: value for name, value in coding.items() if value}]}


def note(id_: str, loinc: str, title: str, text: str) -> dict[str, Any]:
    """Write a note."""
    data = base64.b64encode(text.encode()).decode()
    return {
        "resourceType": "DocumentReference",
        "id": id_,
        "status": "current",
        "docStatus": "final",
        "type": concept(loinc, "http://loinc.org", title),
        "subject": PATIENT,
        "date": "2026-11-21T09:00:00Z",
        "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": data, "title": title}}],
    }


def resources() -> list[dict[str, Any]]:
    """Give everything, references first."""
    return [*_parties(), *_notes(), *_money(), _task()]


def _parties() -> list[dict[str, Any]]:
    others = [{"resourceType": "Patient", "id": f"q{n}", "name": [{"family": f"Person{n:02}", "given": ["A"]}]} for n in range(30)]
    return [
        {"resourceType": "Patient", "id": "p1", "name": [{"family": "Gęślą", "given": ["Zażółć"]}], "birthDate": "1959-03-02", "generalPractitioner": [{"reference": "Practitioner/7"}]},
        *others,
        {"resourceType": "Practitioner", "id": "7", "name": [{"family": "Coder"}]},
        {"resourceType": "Organization", "id": "payer", "name": "Evergreen Health Plan"},
        {"resourceType": "Coverage", "id": "cov", "status": "active", "beneficiary": PATIENT, "payor": [{"reference": "Organization/payer"}]},
    ]


def _notes() -> list[dict[str, Any]]:
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": PATIENT,
        "period": {"start": "2026-11-21T08:00:00Z", "end": "2026-11-21T09:00:00Z"},
    }
    condition = {
        "resourceType": "Condition",
        "id": "cond",
        "clinicalStatus": concept("active", "http://terminology.hl7.org/CodeSystem/condition-clinical"),
        "code": concept("44054006", "http://snomed.info/sct", "Diabetes mellitus type 2"),
        "subject": PATIENT,
    }
    return [
        encounter,
        condition,
        note("note-1", "34878-9", "Emergency department note", review_chart.NOTE),
        note("note-2", "34788-0", "Psychiatry Consult note", "Fear of abandonment."),
    ]


def _money() -> list[dict[str, Any]]:
    claim = {
        "resourceType": "Claim",
        "id": "c1",
        "identifier": [{"system": f"{BASE}/pcn", "value": "PCN00000000000001"}, {"system": f"{BASE}/isa13", "value": "ME-000000001"}],
        "status": "active",
        "type": concept("professional", "http://terminology.hl7.org/CodeSystem/claim-type"),
        "use": "claim",
        "patient": PATIENT,
        "created": "2026-11-21",
        "insurer": {"reference": "Organization/payer"},
        "provider": {"reference": "Organization/payer"},
        "priority": concept("normal"),
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/cov"}}],
        "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": concept("F32.1", review_chart.ICD10CM)}],
        "item": [{"sequence": 1, "productOrService": concept("99213"), "servicedDate": "2026-11-21", "net": MONEY}],
        "total": MONEY,
    }
    answer = {
        "resourceType": "ClaimResponse",
        "id": "r1",
        "status": "active",
        "type": concept("professional"),
        "use": "claim",
        "patient": PATIENT,
        "created": "2026-11-22T10:00:00Z",
        "insurer": {"reference": "Organization/payer"},
        "request": {"reference": "Claim/c1"},
        "outcome": "complete",
        "disposition": "Paid as billed",
        "payment": {"type": concept("complete"), "amount": MONEY, "identifier": {"value": "TRN-1"}},
    }
    payment = {
        "resourceType": "PaymentReconciliation",
        "id": "pay1",
        "status": "active",
        "created": "2026-11-22",
        "paymentIssuer": {"reference": "Organization/payer"},
        "paymentDate": "2026-11-22",
        "paymentAmount": MONEY,
        "paymentIdentifier": {"value": "TRN-1"},
        "detail": [{"type": concept("payment"), "request": {"reference": "Claim/c1"}, "amount": MONEY}],
    }
    return [claim, answer, payment]


def _task() -> dict[str, Any]:
    return review_chart.task()
