"""A store that holds a psychiatric note answers the billing administrator like one that never held it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, create_tables, open_database
from fhir_server.store import Store
from tests.integration.fhir_server.test_http import Api

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def _note(id_: str, loinc: str, text: str) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference", "id": id_, "status": "current", "subject": {"reference": "Patient/p1"},
        "type": {"coding": [{"system": "http://loinc.org", "code": loinc}]}, "date": "2026-01-02T00:00:00Z",
        "context": {"encounter": [{"reference": "Encounter/e1"}]},
        "content": [{"attachment": {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}}],
    }  # fmt: skip


COMMON: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "p1", "name": [{"family": "Smith"}], "identifier": [{"system": "urn:mrn", "value": "1"}]},
    {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"system": ACT, "code": "AMB"}, "subject": {"reference": "Patient/p1"}},
    _note("plain", "11506-3", "Cough."),
    {
        "resourceType": "Claim", "id": "c1", "status": "draft", "use": "claim", "created": "2026-01-03",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional"}]},
        "patient": {"reference": "Patient/p1"}, "provider": {"reference": "Organization/o1"}, "priority": {"coding": [{"code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/v1"}}],
        "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F32.1"}]}}],
    },
]  # fmt: skip
HIDDEN: list[dict[str, Any]] = [
    {**_note("secret", "11506-3", "He hears voices."), "meta": {"security": [{"system": ACT, "code": "PSY"}]}},
    {**_note("secret2", "11506-3", "She hears voices."), "meta": {"security": [{"system": ACT, "code": "PSY"}]},
     "relatesTo": [{"code": "appends", "target": {"reference": "DocumentReference/secret"}}]},
]  # fmt: skip
REQUESTS = [
    "Patient/p1", "Encounter/e1", "Claim/c1", "DocumentReference/plain", "DocumentReference/secret", "DocumentReference/secret/_history/1",
    "DocumentReference/secret/_history", "DocumentReference/plain/_history", "DocumentReference/_history", "_history", "_history?_count=2",
    "DocumentReference?patient=Patient/p1&_total=accurate", "DocumentReference?_summary=count", "DocumentReference?_count=1&_total=accurate",
    "DocumentReference?_id=secret", "DocumentReference?_id=secret,plain", "DocumentReference?type=http://loinc.org|11506-3", "DocumentReference?_sort=-date",
    "DocumentReference?date=2026-01-02&_count=1", "DocumentReference?_lastUpdated=gt2020", "DocumentReference?date:missing=false&_total=accurate",
    "Patient?_id=p1&_revinclude=DocumentReference:subject", "Encounter?_id=e1&_revinclude=DocumentReference:encounter",
    "DocumentReference?patient=p1&_include=DocumentReference:patient", "DocumentReference?relatesto=DocumentReference/secret",
    "DocumentReference?_summary=true", "DocumentReference?_elements=status&_count=1", "DocumentReference/secret?_summary=text", "DocumentReference/plain?_summary=true",
    "Patient/p1/$everything", "Encounter/e1/$everything?_count=1", "DocumentReference/secret/$meta", "DocumentReference/plain/$meta", "DocumentReference/$meta", "$meta",
    "Claim?_include=Claim:encounter&_total=accurate", "DocumentReference?description=x", "Patient?_has:DocumentReference:subject:_id=secret&_total=accurate",
    "Patient?_has:DocumentReference:subject:type=11506-3", "Encounter?subject:Patient._has:DocumentReference:patient:_id=secret,plain&_total=accurate",
    "DocumentReference?relatesto:DocumentReference.type=11506-3", "DocumentReference?_has:DocumentReference:relatesto:_id=secret2",
    "DocumentReference?subject:Patient.name=smith&_total=accurate&_count=1", "DocumentReference?status:not=superseded&_summary=count",
]  # fmt: skip


@pytest.fixture
def twins(database: Database, make_store: Callable[[Database], Store], fake_clock: FakeClock, tmp_path: Path, database_url: str) -> Iterator[tuple[Api, Api]]:
    """A store with the hidden notes, and one that never held them."""
    other = open_database(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    create_tables(other)
    full, bare = Api(make_store(database)), Api(make_store(other))
    for resource in [*COMMON[:2], *HIDDEN[:1], *COMMON[2:], *HIDDEN[1:]]:
        fake_clock.advance(1)
        for api in (full, bare):
            if api is full or resource not in HIDDEN:
                path = f"/fhir/{resource['resourceType']}/{resource['id']}"
                assert api("PUT", path, resource).status_code == 201
    assert full("GET", "/fhir/DocumentReference/secret", role="psychiatric-clinician").status_code == 200
    yield full, bare
    other.close()


def _said(api: Api, role: str, path: str) -> list[object]:
    """Status and bodies of every page; a sealed position says nothing, so it is left out."""
    said: list[object] = []
    following: str | None = f"/fhir/{path}"
    while following is not None:
        answer = api("GET", following, role=role)
        body = json.loads(answer.data)
        links = {link["relation"]: link["url"] for link in body.pop("link", ())}
        said.append((answer.status_code, answer.headers.get("ETag"), body, sorted(links), links.get("self")))
        following = links["next"].removeprefix("http://127.0.0.1:8080") if "next" in links else None
    return said


@pytest.mark.conformance("The loop", "6 Access: reads, searches, totals, includes, histories equal those of a store that never held the psychiatric note")
@pytest.mark.conformance("Access", "a store that holds hidden notes answers in status, ETag and body as one that never held them")
@pytest.mark.conformance("Attacks", "04: includes and reverse includes bring no hidden note")
@pytest.mark.conformance("Attacks", "06: totals, _summary=count and pages count visible rows only")
@pytest.mark.conformance("Attacks", "07: no last page is empty because of hidden rows")
@pytest.mark.conformance("Attacks", "16: _id and _lastUpdated find nothing of a hidden resource")
@pytest.mark.conformance("Attacks", "37: history of system, type and instance is filtered")
@pytest.mark.parametrize("role", ["billing-administrator", "coder", "clinician", "operator"])
def test_every_path_answers_as_if_the_notes_had_never_been(twins: tuple[Api, Api], role: str) -> None:
    full, bare = twins
    for path in REQUESTS:
        assert _said(full, role, path) == _said(bare, role, path), path


@pytest.mark.conformance("Attacks", "42: a conditional create does not match hidden data")
@pytest.mark.conformance("Access", "a conditional create and a batch GET do not find what is hidden")
def test_a_conditional_create_does_not_find_what_is_hidden(twins: tuple[Api, Api]) -> None:
    note = {key: value for key, value in HIDDEN[0].items() if key not in ("id", "meta")}
    for api in twins:
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "DocumentReference/secret"}}]}
        assert json.loads(api("POST", "/fhir", bundle).data)["entry"][0]["response"]["status"] == "404 Not Found"
        made = api("POST", "/fhir/DocumentReference", note, If_None_Exist="relatesto=DocumentReference/secret")
        assert made.status_code == 201


@pytest.mark.conformance("The loop", "6 Access: the billing administrator reads the Claim with its codes")
def test_the_claim_keeps_its_codes_for_who_bills(twins: tuple[Api, Api]) -> None:
    claim = json.loads(twins[0]("GET", "/fhir/Claim/c1", role="billing-administrator").data)
    assert claim["diagnosis"][0]["diagnosisCodeableConcept"]["coding"][0]["code"] == "F32.1"


@pytest.mark.conformance("Attacks", "36: a version from before the label is hidden too")
@pytest.mark.conformance("Attacks", "35: a version from before a label was set is hidden as the resource is, on read, vread and history")
@pytest.mark.conformance("Access", "an update that adds a label and nothing else is stored")
@pytest.mark.conformance("Access", "a version is shown to who may see its own labels and those of the resource today")
def test_a_version_from_before_the_label_is_hidden_too(database: Database, make_store: Callable[[Database], Store], fake_clock: FakeClock) -> None:
    api, note = Api(make_store(database)), _note("n1", "11506-3", "He hears voices.")
    assert api("PUT", "/fhir/DocumentReference/n1", note).status_code == 201
    paths = ["n1", "n1/_history/1", "n1/_history"]
    assert [api("GET", f"/fhir/DocumentReference/{path}", role="clinician").status_code for path in paths] == [200] * 3
    fake_clock.advance(1)
    labelled = {**note, "meta": {"security": [{"system": ACT, "code": "PSY"}]}}
    assert api("PUT", "/fhir/DocumentReference/n1", labelled).status_code == 200
    for role in ("billing-administrator", "coder", "clinician", "operator"):
        for path in [*paths, "n1/_history/2"]:
            hidden, missing = (api("GET", f"/fhir/DocumentReference/{name}", role=role) for name in (path, path.replace("n1", "n2")))
            assert (hidden.status_code, hidden.data) == (404, missing.data), (role, path)
        for path in ("DocumentReference/_history", "_history", "DocumentReference?_id=n1"):
            answer = api("GET", f"/fhir/{path}", role=role)
            assert (answer.status_code, b'"id":"n1"' in answer.data) == (200, False), (role, path)
    assert [api("GET", f"/fhir/DocumentReference/{path}", role="psychiatric-clinician").status_code for path in paths] == [200] * 3
    assert len(json.loads(api("GET", "/fhir/DocumentReference/n1/_history", role="psychiatric-clinician").data)["entry"]) == 2
