"""Two patients, a psychiatric chart, and everybody who may try to learn of it: over WSGI, with the policies that ship."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from werkzeug.test import Client, TestResponse

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Unauthenticated
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import *  # noqa: F403  the store
from tests.integration.fhir_server.conftest import BASE

Json = dict[str, Any]
ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PSY: Final[Json] = {"security": [{"system": ACT, "code": "PSY"}]}
LOINC: Final = "http://loinc.org"
OWN: Final = ("user/*.cruds",)


def _person(role: str, user: str, patient: str = "", scopes: tuple[str, ...] = OWN, purpose: str = "TREAT") -> Subject:
    return Subject(id=f"test:{user}", role=role, user=user, patient=patient, scopes=scopes, purpose=purpose)


PEOPLE: Final = {
    "operator": Subject(id="test:operator", role="operator", scopes=("system/*.cruds",)),
    "biller": _person("billing-administrator", "Practitioner/bill"),
    "coder": _person("coder", "Practitioner/casey"),
    "ada": _person("clinician", "Practitioner/ada"),
    "stranger": _person("clinician", "Practitioner/jon"),
    "studying": _person("clinician", "Practitioner/ada", purpose="HRESCH"),
    "psychiatrist": _person("psychiatric-clinician", "Practitioner/kim"),
    "anna": _person("patient", "Patient/p1", "Patient/p1", ("patient/*.cruds",)),
    "bert": _person("patient", "Patient/p2", "Patient/p2", ("patient/*.cruds",)),
    "researcher": _person("researcher", "Practitioner/rita"),
    "officer": _person("privacy-officer", "Practitioner/olga"),
}  # fmt: skip
"""By token: Ada and Kim treat Anna (Patient/p1); Jon works on another ward; Bert is Patient/p2."""
NOT_HERS: Final = ("biller", "coder", "stranger", "bert", "researcher")
"""Who may not read what is labelled of Anna."""


class Door:
    """A client that speaks for one of the people."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._client = Client(fhir_wsgi(Gate(Repository(store), self._authenticate, BASE, Limits(body_bytes=200_000, bulk_bytes=2_000_000))))

    def _authenticate(self, token: str) -> Subject:
        if token not in PEOPLE:
            raise Unauthenticated
        return PEOPLE[token]

    def __call__(self, who: str, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        """Send a request below /fhir/; a body that is not bytes is sent as JSON."""
        said = {"Authorization": f"Bearer {who}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            said.setdefault("Content-Type", "application/fhir+json")
        return self._client.open(f"/fhir/{path}" if path else "/fhir", method=method, data=data, headers=said)

    def put(self, *resources: Json) -> None:
        """Store resources under their ids."""
        for resource in resources:
            answer = self("operator", "PUT", f"{resource['resourceType']}/{resource['id']}", resource)
            assert answer.status_code in (200, 201), (resource["id"], answer.data)

    def ids(self, who: str, path: str) -> list[str]:
        """Ids on the page that a search answers."""
        answer = self(who, "GET", path)
        assert answer.status_code == 200, answer.data
        return [entry["resource"]["id"] for entry in json.loads(answer.data).get("entry", ())]


def said(answer: TestResponse) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What an answer says: status, body and headers, but for the number of the request."""
    headers = sorted((name, value) for name, value in answer.headers.items() if name.lower() not in ("x-request-id", "date"))
    return answer.status_code, answer.data, headers


def visit(number: int, *who: str, **more: Any) -> Json:
    """A visit of a patient, with people who took part in it."""
    people = {"participant": [{"individual": {"reference": f"Practitioner/{each}"}} for each in who]} if who else {}
    return {"resourceType": "Encounter", "id": f"e{number}", "status": "in-progress", "class": {"system": ACT, "code": "AMB"}, "subject": {"reference": f"Patient/p{number}"}, **people, **more}


def pressure(id_: str, number: int, value: float, **more: Any) -> Json:
    """A systolic pressure."""
    code = {"coding": [{"system": LOINC, "code": "8480-6"}]}
    quantity = {"value": value, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, "subject": {"reference": f"Patient/p{number}"}, "valueQuantity": quantity, **more}


def note(id_: str, number: int, **more: Any) -> Json:
    """A note; its only words are in its description, its author and whoever witnessed it are people."""
    return {
        "resourceType": "DocumentReference", "id": id_, "status": "current", "subject": {"reference": f"Patient/p{number}"}, "type": {"coding": [{"system": LOINC, "code": "11506-3"}]},
        "date": "2026-01-02T00:00:00Z", "description": "He hears voices", "authenticator": {"reference": "Practitioner/kim"}, "content": [{"attachment": {"contentType": "text/plain", "data": "SGUgaGVhcnMgdm9pY2Vz"}}],
        **more,
    }  # fmt: skip


CHART: Final[list[Json]] = [
    {"resourceType": "Practitioner", "id": "kim", "name": [{"family": "Kim"}]},
    {"resourceType": "Patient", "id": "p1", "name": [{"family": "Smith", "given": ["Anna"]}], "birthDate": "1970-05-05"},
    {"resourceType": "Patient", "id": "p2", "name": [{"family": "Jones", "given": ["Bert"]}], "birthDate": "1980-06-06"},
    visit(1, "ada", "kim"),
    visit(2, "jon"),
    pressure("o1", 1, 120),
    pressure("o2", 2, 180),
    pressure("secret", 1, 150, meta=PSY),
    note("plain", 1),
    note("hidden", 1, meta=PSY, identifier=[{"system": "urn:n", "value": "77"}]),
    {"resourceType": "Condition", "id": "mood", "meta": PSY, "subject": {"reference": "Patient/p1"}, "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F32.1"}]}},
]
"""What both patients' charts hold, and what of Anna's is closed."""


@pytest.fixture
def door(store: Store) -> Door:
    """A server with both charts, once for each kind of database."""
    opened = Door(store)
    opened.put(*CHART)
    return opened
