"""AuditEvents are found by patient, entity, agent, date, action, outcome and type, and each is shaped as IHE's patterns say."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from chartloop.kernel.audit import index, state
from chartloop.kernel.audit.index import INDEXED_FROM, index_older
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.record import AuditRecord
from fhir_server.audit_codes import DCM, event_subtypes, event_type
from fhir_server.validation.resources import validate
from tests.integration.audit.conftest import House

WORDS = ["login", "login-failed", "lockout", "logout", "token-issued", "token-refused", "token-revoked", "code-reuse", "refresh-reuse", "consent-page", "client-registered", "client-changed", "user-created", "user-changed", "key-rotated", "break-glass", "grant-created", "grant-ended", "consent-changed", "labels-changed", "policy-changed", "disclosure", "prediction-shown", "audit-read", "audit-export", "explorer"]


@pytest.fixture(scope="module")
def used(house: House, operator: str) -> House:
    """A house in which a nurse looked at two patients, and found the third one missing."""
    for id_ in ("a", "b"):
        house.put({"resourceType": "Patient", "id": id_, "active": True}, operator)
    nurse = house.token("clinician", "Practitioner/7")
    for path in ("Patient/a", "Patient/a", "Patient/b", "Patient/c", "Observation?patient=Patient/a"):
        house.ask("GET", f"/fhir/{path}", nurse, number="nurse-1")
    house.sealer.seal()
    return house


def events(house: House, query: str, role: str = "privacy-officer") -> list[dict[str, Any]]:
    answer = house.ask("GET", f"/fhir/AuditEvent?{query}", house.token(role))
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.get_json().get("entry", [])]


def said(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(event["subtype"][0]["code"], event["outcome"], event["agent"][0]["who"].get("reference", "")) for event in found]


@pytest.mark.conformance("Audit", "AuditEvents are found by patient, entity, agent, date, action, outcome, type and subtype")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("agent=Practitioner/7", [("search", "0"), ("read", "4"), ("read", "0"), ("read", "0"), ("read", "0")]),
        ("agent=Practitioner/7&patient=Patient/a", [("read", "0"), ("read", "0")]),
        ("agent=Practitioner/7&patient=a", [("read", "0"), ("read", "0")]),
        ("patient=Patient/a,Patient/b&action=R", [("read", "0"), ("read", "0"), ("read", "0")]),
        ("entity=Patient/c", [("read", "4")]),
        ("entity=http://127.0.0.1:8080/fhir/Patient/c", [("read", "4")]),
        ("entity=Patient/a&patient=Patient/b", []),
        ("agent=Practitioner/7&outcome=4", [("read", "4")]),
        ("agent=Practitioner/7&action=E", [("search", "0")]),
        ("agent=Practitioner/7&date=lt2020-01-01", []),
        ("agent=Practitioner/7&outcome=4&date=ge2020-01-01&date=lt2099-01-01", [("read", "4")]),
        ("agent=Practitioner/7&type=rest&subtype=search", [("search", "0")]),
        ("agent=Practitioner/7&subtype=http://hl7.org/fhir/restful-interaction|search", [("search", "0")]),
        ("agent=Practitioner/7&type=http://dicom.nema.org/resources/ontology/DCM|110106", []),
    ],
)
def test_events_are_found_by(used: House, query: str, expected: list[tuple[str, str]]) -> None:
    assert [(code, outcome) for code, outcome, _ in said(events(used, query))] == expected


@pytest.mark.parametrize("query", ["patient=", "agent=", "site=x", "action=X", "outcome=9", "date=yesterday", "action=R&action=C", "_summary=count", "type="])
def test_a_query_that_would_mean_everything_or_nothing_is_refused(used: House, query: str) -> None:
    answer = used.ask("GET", f"/fhir/AuditEvent?{query}", used.token("auditor"))
    assert answer.status_code == 400


@pytest.mark.conformance("Audit", "pages of AuditEvents follow each other without a gap or a double")
def test_pages_follow_each_other(used: House) -> None:
    token, url, seen = used.token("auditor"), "/fhir/AuditEvent?agent=Practitioner/7&_count=2", []
    while url:
        page = used.ask("GET", url, token).get_json()
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        url = next((link["url"].removeprefix("http://127.0.0.1:8080") for link in page["link"] if link["relation"] == "next"), "")
    assert seen == [event["id"] for event in events(used, "agent=Practitioner/7")]
    assert len(set(seen)) == 5


@pytest.mark.conformance("Attacks", "80: an auditor reads AuditEvents, and that read is recorded once")
def test_looking_at_a_patients_trail_stands_in_the_patients_trail_once(used: House) -> None:
    events(used, "patient=Patient/looked-at", role="auditor")
    used.sealer.seal()
    looked = events(used, "patient=Patient/looked-at&type=110101", role="privacy-officer")
    assert [event["agent"][0]["role"] for event in looked] == [[{"text": "auditor"}]]
    assert base64.b64decode(next(entity["query"] for entity in looked[0]["entity"] if "query" in entity)) == b"patient=Patient/looked-at"


@pytest.mark.conformance("Audit", "an event of REST has the shape of IHE's basic audit patterns: both ends of the connection, the user, the data, the patient and the request id")
def test_an_event_of_rest_has_the_shape_of_ihe(used: House) -> None:
    event = events(used, "agent=Practitioner/7&entity=Patient/b")[0]
    assert event["meta"]["profile"] == ["https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"]
    assert [(agent["type"]["coding"][0]["code"], agent["requestor"]) for agent in event["agent"]] == [("IRCP", True), ("110152", False), ("110153", False)]
    assert event["agent"][1]["network"] == {"address": "127.0.0.1", "type": "2"}
    assert event["agent"][2]["network"]["address"] == "http://127.0.0.1:8080/fhir"
    assert [entity.get("what") for entity in event["entity"]] == [{"reference": "Patient/b/_history/1"}, {"reference": "Patient/b"}, {"identifier": {"value": "nurse-1"}}]
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"


@pytest.mark.conformance("Audit", "every interaction word has its DICOM code, and its events are valid and found by it")
@pytest.mark.parametrize("word", [*WORDS, "a-word-nobody-listed"])
def test_every_word_is_a_valid_event_that_is_found_by_its_codes(used: House, word: str) -> None:
    subject = used.subject("clinician", "Practitioner/8")
    used.kernel.audit.access(AuditRecord("E", word, "0", subject, (f"word/{word}", "Claim/1/_history/2"), ("Patient/w",), "q=1", "r1", "why"))
    used.sealer.seal()
    code = event_type(word).code
    found = events(used, f"patient=Patient/w&type={DCM}|{code}&subtype={word}&_count=1") if event_type(word).system == DCM else []
    assert [event["subtype"][-1]["code"] for event in found] == [word]
    validate(json.dumps(found[0]).encode(), type_="AuditEvent")
    assert all(coding.code for coding in event_subtypes(word))


@pytest.mark.conformance("Audit", "records that were sealed before there was an index are indexed by the next seals")
def test_records_that_were_sealed_before_there_was_an_index_are_found_again(used: House) -> None:
    database = used.kernel.database
    with database.read() as session:
        before = {table: session.one(f"SELECT count(*) FROM {table}") for table in ("audit_entry", "audit_entity", "audit_patient")}
        [(size,)] = session.all("SELECT max(seq) FROM audit_leaf")

    def forget(tx: Any) -> None:
        tx.run("DELETE FROM audit_entry")
        tx.run("DELETE FROM audit_entity")
        state.remember(tx, INDEXED_FROM, str(size + 1))

    database.write(forget)
    assert events(used, "agent=Practitioner/7") == []
    while index_older(database, audit_directory(used.data)):
        pass
    with database.read() as session:
        after = {table: session.one(f"SELECT count(*) FROM {table}") for table in before}
        assert {table: found == before[table] for table, found in after.items()} == dict.fromkeys(before, True)
        assert index.find(session, index.Wanted(agents=("Practitioner/7",)), limit=50)


def test_a_search_by_patient_is_driven_by_the_patient(used: House) -> None:
    sql = "EXPLAIN QUERY PLAN SELECT p.seq FROM audit_patient p CROSS JOIN audit_entry e WHERE p.patient IN (?) AND e.seq = p.seq AND e.agent IN (?) ORDER BY p.seq DESC LIMIT ?"
    with used.kernel.database.read() as session:
        plan = " ".join(str(row[-1]) for row in session.all(sql, ("Patient/a", "Practitioner/7", 5)))
    assert "SEARCH p USING PRIMARY KEY (patient=?)" in plan
    assert "SEARCH e USING" in plan
    assert "SCAN" not in plan
