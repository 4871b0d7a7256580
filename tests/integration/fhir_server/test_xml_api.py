"""The API in XML: every route writes in XML what it writes in JSON, and reads in XML what it reads in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from chartloop.kernel.clock import FakeClock
from fhir_server.json_tree import canonical, read_tree
from fhir_server.xml.reading import xml_to_json
from fhir_server.xml.writing import json_to_xml
from tests.integration.fhir_server.test_hidden import REQUESTS, twins  # noqa: F401  (a fixture)
from tests.integration.fhir_server.test_http import Api, api  # noqa: F401  (a fixture)

XML = "application/fhir+xml"
XML_ANSWER = "application/fhir+xml; charset=utf-8"
ROLES = ["billing-administrator", "coder", "clinician", "operator", "psychiatric-clinician", ""]
PATIENT = b'<Patient xmlns="http://hl7.org/fhir"><name><family value="Smith"/></name><birthDate value="1970-03-30"><extension url="urn:e"><valueDecimal value="72.50"/></extension></birthDate></Patient>'
PATIENT_JSON = {
    "resourceType": "Patient", "name": [{"family": "Smith"}], "birthDate": "1970-03-30", "_birthDate": {"extension": [{"url": "urn:e", "valueDecimal": 72.5}]},
}  # fmt: skip


def _same(one: TestResponse, other: TestResponse) -> None:
    """The answer in XML is the answer in JSON, and nothing else is different."""
    assert one.status_code == other.status_code
    assert one.data == (json_to_xml(other.data) if other.data else b"")
    assert {name: value for name, value in one.headers.items() if name not in APART} == {name: value for name, value in other.headers.items() if name not in APART}
    if other.data:
        assert one.headers["Content-Type"] == XML_ANSWER


APART = ("Content-Type", "Content-Length", "X-Request-Id")


@pytest.mark.conformance("Access", "over XML: status, headers, pages and every body are those of JSON written as XML, for each role and route, with hidden rows and elements")
@pytest.mark.conformance("FHIR R4: XML", "reads, versions, searches, histories, operations and refusals are answered in XML where it is asked for")
@pytest.mark.parametrize("role", ROLES)
def test_every_path_says_in_xml_what_it_says_in_json(twins: tuple[Api, Api], role: str) -> None:  # noqa: F811
    for store in twins:
        for path in [*REQUESTS, "Patient/none", "Colour/1", "Patient?colour=red", "Patient/p1/$nothing", "AuditEvent", "metadata"]:
            following: str | None = f"/fhir/{path}"
            while following is not None:
                said = store("GET", following, role=role)
                _same(store("GET", following, role=role, Accept=XML), said)
                _same(store("HEAD", following, role=role, Accept=XML), store("HEAD", following, role=role))
                following = next((link["url"].removeprefix("http://127.0.0.1:8080") for link in json.loads(said.data).get("link", ()) if link["relation"] == "next"), None)


@pytest.mark.conformance("Attacks", "17: a billing administrator sees nothing hidden by xml")
@pytest.mark.conformance("Access", "a billing administrator reads in XML of a Claim what JSON shows: no hidden element, and the entity tag of the redacted body")
def test_a_billing_administrator_sees_nothing_hidden_by_xml(twins: tuple[Api, Api]) -> None:  # noqa: F811
    full, _ = twins
    claim = {
        "resourceType": "Claim", "id": "c2", "status": "draft", "use": "claim", "created": "2026-01-03", "patient": {"reference": "Patient/p1"},
        "type": {"coding": [{"code": "professional"}]}, "provider": {"reference": "Organization/o1"}, "priority": {"coding": [{"code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/v1"}}],
        "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F32.1"}]}}],
        "supportingInfo": [{"sequence": 1, "category": {"text": "x"}, "valueString": "He hears voices."}],
    }  # fmt: skip
    assert full("PUT", "/fhir/Claim/c2", json_to_xml(json.dumps(claim).encode()), Content_Type=XML).status_code == 201
    for path in ("Claim/c2", "Claim/c2/_history/1", "Claim/c2/_history", "Claim?_id=c2", "Patient/p1/$everything"):
        whole, shown = (full("GET", f"/fhir/{path}", role=role, Accept=XML) for role in ("psychiatric-clinician", "billing-administrator"))
        assert b"hears voices" not in shown.data, path
        assert path.endswith("$everything") or b"hears voices" in whole.data, path
    shown, whole = (full("GET", "/fhir/Claim/c2", role=role, Accept=XML) for role in ("billing-administrator", "psychiatric-clinician"))
    assert b'<code value="SUBSETTED"/>' in shown.data
    assert shown.headers["ETag"] != whole.headers["ETag"] == 'W/"1"'
    refused = full("PUT", "/fhir/Claim/c2", shown.data, Content_Type=XML, If_Match=shown.headers["ETag"])
    assert refused.status_code in (412, 422)


def _stored(answer: TestResponse) -> tuple[int, dict[str, Any]]:
    said = json.loads(answer.data)
    for each in [said, *[entry.get("resource", {}) for entry in said.get("entry", ())]]:
        each.pop("id", None)
        each.pop("meta", None)
    return answer.status_code, said


@pytest.mark.conformance("FHIR R4: XML", "create, update, transaction, FHIRPath Patch and operations take XML and store what JSON would store")
def test_bodies_in_xml_do_what_they_do_in_json(api: Api, fake_clock: FakeClock) -> None:  # noqa: F811
    made = api("POST", "/fhir/Patient", PATIENT, Content_Type=XML)
    assert made.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert _stored(made) == _stored(api("POST", "/fhir/Patient", PATIENT_JSON)) == (201, PATIENT_JSON)
    assert b'"valueDecimal":72.50' in made.data
    written = api("POST", "/fhir/Patient", PATIENT, Content_Type="text/xml; charset=UTF-8", Accept=XML)
    assert b'<valueDecimal value="72.50"/>' in written.data
    path = written.headers["Location"].removeprefix("http://127.0.0.1:8080").partition("/_history")[0]
    read = api("GET", path, Accept=XML)
    assert (read.data, read.headers["ETag"]) == (written.data, 'W/"1"')
    again = api("PUT", path, read.data, Content_Type=XML, If_Match='W/"1"', Accept=XML)
    assert (again.status_code, again.headers["ETag"], again.data) == (200, 'W/"1"', read.data), "what was read is what is stored: no version is made"
    changed = api("PUT", path, read.data.replace(b"Smith", b"Jones"), Content_Type="application/xml; fhirVersion=4.0", If_Match='W/"1"')
    assert (changed.status_code, changed.headers["ETag"], json.loads(changed.data)["name"]) == (200, 'W/"2"', [{"family": "Jones"}])
    patch = {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.birthDate"}, {"name": "value", "valueDate": "1971"}]}],
    }
    patched = api("PATCH", path, json_to_xml(json.dumps(patch).encode()), Content_Type=XML, Accept=XML)
    assert (patched.status_code, b'<birthDate value="1971"' in patched.data) == (200, True), patched.data
    bundle = {
        "resourceType": "Bundle", "type": "transaction",
        "entry": [
            {"fullUrl": "urn:uuid:0d4cf1a0-1c8e-4ab0-9d0a-0d1f4a1b2c3d", "resource": PATIENT_JSON, "request": {"method": "POST", "url": "Patient"}},
            {"resource": {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "urn:uuid:0d4cf1a0-1c8e-4ab0-9d0a-0d1f4a1b2c3d"}},
             "request": {"method": "POST", "url": "Basic"}},
            {"request": {"method": "GET", "url": path.removeprefix("/fhir/")}},
        ],
    }  # fmt: skip
    answer = api("POST", "/fhir", json_to_xml(json.dumps(bundle).encode()), Content_Type=XML, Accept=XML)
    entries = json.loads(xml_to_json(answer.data))["entry"]
    assert [entry["response"]["status"] for entry in entries] == ["201 Created", "201 Created", "200 OK"]
    batch = api("POST", "/fhir", json_to_xml(json.dumps({**bundle, "type": "batch"}).encode()), Content_Type=XML)
    assert json.loads(batch.data)["type"] == "batch-response"
    meta = b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="meta"/><valueMeta><tag><code value="red"/></tag></valueMeta></parameter></Parameters>'
    tagged = api("POST", f"{path}/$meta-add", meta, Content_Type=XML, Accept=XML)
    assert b'<tag><code value="red"/></tag>' in tagged.data
    judged = api("POST", "/fhir/Patient/$validate", PATIENT, Content_Type=XML, Accept=XML)
    assert (judged.status_code, b"<OperationOutcome" in judged.data, b"No error was found" in judged.data) == (200, True, True)
    everything = api("POST", f"{path}/$everything", b'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="_count"/><valueInteger value="5"/></parameter></Parameters>', Content_Type=XML)
    assert (everything.status_code, len(json.loads(everything.data)["entry"])) == (200, 1)


@pytest.mark.conformance("FHIR R4: XML", "an error in an XML body answers 400 or 422 with an OperationOutcome in the format asked for, naming path, line and column; it is audited once")
@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (400, b"<Patient", "line 1, column 1: the body is not XML: unclosed token"),
        (400, b"{}", "line 1, column 1: the body is not XML: not well-formed (invalid token)"),
        (400, b"", "line 1, column 1: the body is not XML: no element found"),
        (400, b'<!DOCTYPE x [<!ENTITY a "b">]><Patient xmlns="http://hl7.org/fhir"/>', "line 1, column 13: a document type is not permitted"),
        (400, b'<Observation xmlns="http://hl7.org/fhir"><status value="final"/></Observation>', "resourceType: the resourceType must be Patient"),
        (413, b"<Patient>" + b" " * 20_000, "The body is larger than 20000 bytes."),
        (400, b'<Patient xmlns="http://hl7.org/fhir">' + b'<extension url="u">' * 60, "the body is not XML: no element found"),
        (400, b'<Patient xmlns="http://hl7.org/fhir">' + b'<extension url="u">' * 60 + b"</extension>" * 60 + b"</Patient>", ""),
        (422, b'<Patient xmlns="http://hl7.org/fhir"><colour value="red"/></Patient>', "Patient.colour: line 1, column 38: Patient has no such element"),
        (422, b'<Patient xmlns="http://hl7.org/fhir"><birthDate value="1970-02-30"/></Patient>', "Patient.birthDate: must be a date that exists: YYYY, YYYY-MM or YYYY-MM-DD"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_answered_in_the_format_that_was_asked_for(api: Api, status: int, body: bytes, why: str) -> None:  # noqa: F811
    in_json = api("POST", "/fhir/Patient", body, Content_Type=XML)
    in_xml = api("POST", "/fhir/Patient", body, Content_Type=XML, Accept=XML)
    assert in_json.status_code == status, in_json.data
    issue = json.loads(in_json.data)["issue"][0]
    assert ": ".join([*issue.get("expression", ()), issue["diagnostics"]]).endswith(why)
    _same(in_xml, in_json)
    assert json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"] == 0


@pytest.mark.conformance("FHIR R4: XML", "Prefer chooses for XML as it does for JSON, and warnings come in XML")
def test_preferences_hold_for_xml(api: Api) -> None:  # noqa: F811
    assert api("POST", "/fhir/Patient", PATIENT, Content_Type=XML, Accept=XML, Prefer="return=minimal").data == b""
    basic = b'<Basic xmlns="http://hl7.org/fhir"><code><coding><system value="urn:x"/><code value="y"/></coding></code></Basic>'
    said = api("POST", "/fhir/Basic", basic, Content_Type=XML, Accept=XML, Prefer="return=OperationOutcome").data
    assert b'<severity value="warning"/>' in said
    assert canonical(read_tree(xml_to_json(said)))
