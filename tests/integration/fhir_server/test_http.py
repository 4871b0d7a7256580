"""The API over WSGI: literal requests in, status, headers and bodies out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Unauthenticated
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE, scope

PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}], "name": [{"family": "Smith"}]}
CODE = {401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 406: "not-supported", 413: "too-long", 415: "not-supported"}
CODES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def _authenticate(token: str) -> Subject:
    if token == "none":
        raise Unauthenticated
    return scope(token).subject


class Api:
    """A client that speaks for a role."""

    def __init__(self, store: Store) -> None:
        self._client = Client(fhir_wsgi(Gate(Repository(store), _authenticate, BASE, Limits(body_bytes=20_000, bulk_bytes=100_000))))

    def __call__(self, method: str, path: str, body: object = None, *, role: str = "operator", **headers: str) -> TestResponse:
        """Send a request."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        if role:
            said.setdefault("Authorization", f"Bearer {role}")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            said.setdefault("Content-Type", "application/fhir+json")
        return self._client.open(path, method=method, data=data, headers=said)


@pytest.fixture
def api(store: Store) -> Api:
    """The API on one database."""
    return Api(store)


def _outcome(response: TestResponse) -> dict[str, Any]:
    said = json.loads(response.data)
    assert said["resourceType"] == "OperationOutcome"
    return dict(said["issue"][0])


@pytest.mark.conformance("FHIR R4: interactions", "Location, ETag, Last-Modified: create answers 201 with them, and read repeats the ETag")
@pytest.mark.conformance("FHIR R4: interactions", "If-None-Match and If-Modified-Since: an unchanged resource answers 304")
@pytest.mark.conformance("FHIR R4: interactions", "HEAD answers as GET does, without a body")
def test_a_create_answers_201_with_location_and_the_read_has_the_same_etag(api: Api) -> None:
    made = api("POST", "/fhir/Patient", PATIENT)
    assert made.status_code == 201
    assert made.headers["Location"].startswith(BASE + "/Patient/")
    path = made.headers["Location"].removeprefix("http://127.0.0.1:8080").partition("/_history")[0]
    read = api("GET", path)
    assert (read.status_code, read.headers["ETag"], read.data) == (200, 'W/"1"', made.data)
    assert read.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert read.headers["Cache-Control"] == "no-store"
    assert api("GET", path, If_None_Match='W/"1"').status_code == 304
    assert api("GET", path, If_Modified_Since=read.headers["Last-Modified"]).status_code == 304
    head = api("HEAD", path)
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(read.data)))
    assert api("GET", path + "/_history/1").data == read.data


@pytest.mark.conformance("FHIR R4: interactions", "Prefer: return=minimal and return=OperationOutcome choose what a write answers")
def test_prefer_chooses_what_a_write_returns(api: Api) -> None:
    assert api("POST", "/fhir/Patient", PATIENT, Prefer="return=minimal").data == b""
    assert b"OperationOutcome" in api("POST", "/fhir/Patient", PATIENT, Prefer="return=OperationOutcome").data


@pytest.mark.conformance("What must be real underneath", "FHIR: a code that no loaded code system knows is stored, with a warning in the outcome")
def test_an_unknown_code_is_stored_with_a_warning_in_the_outcome(api: Api) -> None:
    coding = {"system": "urn:house:codes", "code": "knee-7"}
    basic = {"resourceType": "Basic", "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A knee</div>'}, "code": {"coding": [coding]}}
    made = api("POST", "/fhir/Basic", basic, Prefer="return=OperationOutcome")
    assert made.status_code == 201
    warning = {
        "severity": "warning", "code": "not-found", "expression": ["Basic.code.coding[0]"],
        "diagnostics": "the code system is not loaded: the code was not checked",
    }  # fmt: skip
    assert json.loads(made.data) == {"resourceType": "OperationOutcome", "issue": [warning]}
    path = made.headers["Location"].removeprefix("http://127.0.0.1:8080").partition("/_history")[0]
    assert json.loads(api("GET", path).data)["code"] == basic["code"]
    assert len(json.loads(api("GET", "/fhir/Basic?code=urn:house:codes|knee-7").data)["entry"]) == 1
    changed = {**json.loads(api("GET", path).data), "author": {"display": "somebody"}}
    assert _outcome(api("PUT", path, changed, Prefer="return=OperationOutcome")) == warning


@pytest.mark.conformance("FHIR R4: interactions", "the character U+0000, which no FHIR string holds, finds nothing in a path and answers 400 in a query")
def test_the_null_character_is_answered_alike_on_both_databases(api: Api) -> None:
    api("POST", "/fhir/Patient", PATIENT)
    for path in ("Patient/%00", "Patient/%00/_history", "Patient/%00/_history/1", "%00"):
        assert api("GET", f"/fhir/{path}").status_code == 404, path
    for query in ("family=%00", "family:exact=%00", "_id=%00", "identifier=%00|1", "_id:%00=1"):
        assert api("GET", f"/fhir/Patient?{query}").status_code == 400, query
    assert api("POST", "/fhir/Patient", PATIENT, If_None_Exist="identifier=%00").status_code == 400
    assert api("POST", "/fhir/Patient", b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}').status_code in (400, 422)


@pytest.mark.conformance("What must be real underneath", "FHIR: read, vread, create, update, delete and history")
@pytest.mark.conformance("FHIR R4: interactions", "statuses of update and delete: 201, 200, 204, 410, 412, and 400 for an id that differs from the address")
@pytest.mark.conformance("FHIR R4: interactions", "instance history names method and status of each version")
def test_updates_and_deletes_have_their_statuses(api: Api) -> None:
    body = {**PATIENT, "id": "p1"}
    assert api("PUT", "/fhir/Patient/p1", body).status_code == 201
    assert api("PUT", "/fhir/Patient/p1", {**body, "active": True}, If_Match='W/"1"').status_code == 200
    assert api("PUT", "/fhir/Patient/p1", body, If_Match='W/"1"').status_code == 412
    assert api("PUT", "/fhir/Patient/p1", body, If_Match="x").status_code == 400
    assert api("PUT", "/fhir/Patient/p2", body).status_code == 400
    assert api("PUT", "/fhir/Observation/o1", {"resourceType": "Observation", "id": "o1"}, role="clinician").status_code == 422
    weight = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "weight"}}
    assert api("PUT", "/fhir/Observation/o1", weight, role="clinician").status_code == 405
    assert api("DELETE", "/fhir/Patient/p1").status_code == 204
    assert api("GET", "/fhir/Patient/p1").status_code == 410
    history = json.loads(api("GET", "/fhir/Patient/p1/_history").data)
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT", "PUT"]
    assert [entry["response"]["status"] for entry in history["entry"]] == ["204", "200", "201"]


@pytest.mark.conformance("FHIR R4: interactions", "every refusal is an OperationOutcome: 400, 401, 403, 404, 405, 406, 413, 415, 422")
@pytest.mark.conformance("FHIR R4: interactions", "Accept and _format: what is neither JSON nor XML answers 406")
@pytest.mark.conformance("FHIR R4: interactions", "Content-Type and Content-Encoding: what is neither JSON nor XML in UTF-8, plain or gzipped, answers 415")
@pytest.mark.parametrize(
    ("status", "method", "path", "body", "headers", "why"),
    [
        (401, "GET", "/fhir/Patient/1", None, {"role": ""}, "A valid access token is needed."),
        (401, "GET", "/fhir/Patient/1", None, {"role": "none"}, "A valid access token is needed."),
        (401, "POST", "/fhir", b"{}", {"role": ""}, "A valid access token is needed."),
        (403, "GET", "/fhir/Observation/1", None, {"role": "billing-administrator"}, "read on Observation is not permitted."),
        (404, "GET", "/fhir/Patient/1", None, {}, "There is nothing here."),
        (404, "GET", "/fhir/Colour/1", None, {}, "There is nothing here."),
        (404, "GET", "/fhir/Patient/$nothing", None, {}, "There is nothing here."),
        (404, "GET", "/fhir/Patient/1/_history/1", None, {}, "There is nothing here."),
        (404, "GET", "/fhir/Patient/1/_history/x", None, {}, "There is nothing here."),
        (405, "PATCH", "/fhir/Patient", b"[]", {"Content_Type": "application/json-patch+json"}, "This cannot be done here."),
        (415, "PATCH", "/fhir/Patient/1", b"<diff/>", {"Content_Type": "application/xml-patch+xml"},
         "A patch is application/json-patch+json, or a Parameters resource as application/fhir+json or application/fhir+xml."),
        (404, "PATCH", "/fhir/Patient/1", b"[]", {"Content_Type": "application/json-patch+json"}, "There is nothing here."),
        (405, "DELETE", "/fhir/Patient", None, {}, "This cannot be done here."),
        (406, "GET", "/fhir/Patient/1", None, {"Accept": "text/turtle"}, "Only JSON and XML are spoken here."),
        (406, "GET", "/fhir/Patient?_format=ttl", None, {}, "Only JSON and XML are spoken here."),
        (400, "GET", "/fhir/Patient?colour=red", None, {}, "http.colour: Parameter 'colour' is not supported for Patient."),
        (400, "POST", "/fhir/Patient", b"{", {}, "the body is not JSON: Input data was truncated"),
        (400, "POST", "/fhir/Patient", b'{"resourceType":"Observation"}', {}, "resourceType: the resourceType must be Patient"),
        (413, "POST", "/fhir/Patient", b"[" * 20_001, {}, "The body is larger than 20000 bytes."),
        (413, "POST", "/fhir", b"[" * 100_001, {}, "The body is larger than 100000 bytes."),
        (415, "POST", "/fhir/Patient", b"{}", {"Content_Type": "text/turtle"}, "The body must be application/fhir+json or application/fhir+xml in UTF-8."),
        (415, "POST", "/fhir/Patient", b"{}", {"Content_Type": "application/fhir+json; charset=latin-1"},
         "The body must be application/fhir+json or application/fhir+xml in UTF-8."),
        (415, "POST", "/fhir/Patient", b"{}", {"Content_Encoding": "br"}, "A body is plain or compressed once, with gzip."),
        (422, "POST", "/fhir/Patient", b'{"resourceType":"Patient","colour":"red"}', {}, "Patient.colour: Patient has no such element"),
    ],
)  # fmt: skip
def test_a_request_that_fails_says_why(
    api: Api, status: int, method: str, path: str, body: bytes | None, headers: dict[str, str], why: str
) -> None:
    answer = api(method, path, body, **headers)
    assert answer.status_code == status
    issue = _outcome(answer)
    assert (issue["severity"], issue["code"]) == ("error", CODE.get(status, issue["code"]))
    assert ": ".join([*issue.get("expression", ()), issue["diagnostics"]]) == why
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"


@pytest.mark.conformance("FHIR R4: search", "search answers a searchset with fullUrl, mode, self and next links")
@pytest.mark.conformance("FHIR R4: search", "POST _search takes the query string and the form together")
@pytest.mark.conformance("FHIR R4: search", "_summary=count answers the total alone")
@pytest.mark.conformance("Attacks", "08: a page link is refused to another user")
def test_a_search_answers_a_bundle_with_links_that_work(api: Api) -> None:
    for number in range(3):
        api("PUT", f"/fhir/Patient/p{number}", {**PATIENT, "id": f"p{number}"})
    page = json.loads(api("GET", "/fhir/Patient?identifier=urn:mrn|1&_count=2&_total=accurate").data)
    assert (page["type"], page["total"], [entry["search"]["mode"] for entry in page["entry"]]) == ("searchset", 3, ["match", "match"])
    assert page["entry"][0]["fullUrl"] == f"{BASE}/Patient/{page['entry'][0]['resource']['id']}"
    link = next(link["url"] for link in page["link"] if link["relation"] == "next")
    rest = api("GET", link.removeprefix("http://127.0.0.1:8080"))
    ids = [entry["resource"]["id"] for entry in [*page["entry"], *json.loads(rest.data)["entry"]]]
    assert sorted(ids) == ["p0", "p1", "p2"]
    assert api("GET", link.removeprefix("http://127.0.0.1:8080"), role="clinician").status_code == 403
    posted = api("POST", "/fhir/Patient/_search?_count=1", b"identifier=urn%3Amrn%7C1", Content_Type="application/x-www-form-urlencoded")
    assert len(json.loads(posted.data)["entry"]) == 1
    count = json.loads(api("GET", "/fhir/Patient?_summary=count").data)
    assert (count["total"], "entry" in count) == (3, False)


@pytest.mark.conformance("FHIR R4: search", "Prefer: handling=lenient ignores unknown parameters and names them in an outcome entry")
def test_a_lenient_search_names_what_it_ignored(api: Api) -> None:
    page = json.loads(api("GET", "/fhir/Patient?colour=red", Prefer="handling=lenient").data)
    assert page["entry"][-1]["search"]["mode"] == "outcome"


@pytest.mark.conformance("FHIR R4: transactions", "POST to the base answers a transaction-response or batch-response, entry by entry")
def test_bundles_answer_entry_by_entry(api: Api) -> None:
    entries = [
        {"resource": {**PATIENT, "id": "p1"}, "request": {"method": "PUT", "url": "Patient/p1"}},
        {"request": {"method": "GET", "url": "Patient/p1"}},
        {"request": {"method": "GET", "url": "Patient?identifier=1"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = json.loads(api("POST", "/fhir", bundle).data)
    assert answer["type"] == "transaction-response"
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["201 Created", "200 OK", "200 OK"]
    assert answer["entry"][1]["resource"]["id"] == "p1"
    bad = {**bundle, "entry": [*entries, {"request": {"method": "GET", "url": "Patient/nobody"}}]}
    assert api("POST", "/fhir/", bad).status_code == 404
    mixed = json.loads(api("POST", "/fhir", {**bad, "type": "batch"}).data)
    assert [entry["response"]["status"] for entry in mixed["entry"]] == ["200 OK", "200 OK", "200 OK", "404 Not Found"]


@pytest.mark.conformance("FHIR R4: transactions", "a transaction whose reads cannot be answered stores nothing")
@pytest.mark.parametrize(
    ("url", "status"),
    [("Patient/nobody", 404), ("Patient/nobody/_history", 404), ("Patient/nobody/_history/1", 404), ("Patient/gone", 410), ("Patient?colour=red", 400),
     ("Patient/gone/_history?_at=soon", 400)],
)  # fmt: skip
def test_a_transaction_whose_read_fails_stores_nothing(api: Api, url: str, status: int) -> None:
    api("PUT", "/fhir/Patient/gone", {**PATIENT, "id": "gone"})
    api("DELETE", "/fhir/Patient/gone")
    entries = [
        {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
        {"resource": {**PATIENT, "id": "p1"}, "request": {"method": "PUT", "url": "Patient/p1"}},
        {"request": {"method": "GET", "url": url}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = api("POST", "/fhir", bundle)
    assert (answer.status_code, _outcome(answer)["expression"][0].startswith("Bundle.entry[2]")) == (status, True)
    assert json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"] == 0
    assert api("GET", "/fhir/Patient/p1").status_code == 404


@pytest.mark.conformance("FHIR R4: transactions", "a read sees what its transaction stored; one that others were quicker than fails alone")
def test_a_read_sees_what_its_transaction_stored(api: Api) -> None:
    api("PUT", "/fhir/Patient/old", {**PATIENT, "id": "old"})
    entries = [
        {"request": {"method": "GET", "url": "Patient/p1"}},
        {"resource": {**PATIENT, "id": "p1"}, "request": {"method": "PUT", "url": "Patient/p1"}},
        {"request": {"method": "GET", "url": "Patient/old"}},
        {"request": {"method": "DELETE", "url": "Patient/old"}},
        {"request": {"method": "GET", "url": "Patient?identifier=urn:mrn|1"}},
    ]
    answer = json.loads(api("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).data)
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["200 OK", "201 Created", "410 Gone", "204 No Content", "200 OK"]
    assert [entry["resource"]["id"] for entry in answer["entry"][4]["resource"]["entry"]] == ["p1"]


@pytest.mark.conformance("Access", "a hidden resource and a missing one give the same status and the same bytes")
@pytest.mark.conformance("Attacks", "38: a deleted resource that is hidden answers 404 and not 410")
def test_a_hidden_resource_and_a_missing_one_look_alike(api: Api) -> None:
    note = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}, "meta": {"security": [{"system": CODES, "code": "PSY"}]}}
    made = api("PUT", "/fhir/Observation/o1", note)
    assert (made.status_code, made.data) == (201, b"")
    hidden, missing = (api("GET", f"/fhir/Observation/{id_}", role="clinician") for id_ in ("o1", "o2"))
    assert (hidden.status_code, hidden.data) == (missing.status_code, missing.data) == (404, missing.data)
    api("DELETE", "/fhir/Observation/o1")
    assert api("GET", "/fhir/Observation/o1", role="clinician").status_code == 404
    assert api("GET", "/fhir/Observation/o1", role="psychiatric-clinician").status_code == 410


@pytest.mark.conformance("FHIR R4: interactions", "the CapabilityStatement lists the interactions and search parameters that are built, and each answers")
@pytest.mark.conformance("What must be real underneath", "FHIR: the CapabilityStatement is generated from what is built")
def test_the_capability_statement_lists_what_is_built_and_needs_no_token(api: Api) -> None:
    statement = json.loads(api("GET", "/fhir/metadata", role="").data)
    patient = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Patient")
    assert {each["code"] for each in patient["interaction"]} == {
        "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
    }  # fmt: skip
    assert (patient["conditionalUpdate"], patient["conditionalDelete"]) == (True, "single")
    assert statement["patchFormat"] == ["application/json-patch+json", "application/fhir+json", "application/fhir+xml"]
    assert statement["format"] == ["json", "application/fhir+json", "xml", "application/fhir+xml"]
    assert {"name": "birthdate", "type": "date"} in patient["searchParam"]
    said = statement["rest"][0]["documentation"]
    assert "uri: :above" in said
    assert "over up to 3 references and 10000 resources" in said
    for param in patient["searchParam"]:
        assert api("GET", f"/fhir/Patient?{param['name']}:missing=true").status_code == (400 if param["name"] in ("_id", "_lastUpdated", "_filter", "_has", "_list") else 200)


@pytest.mark.conformance("Audit", "each read, search and history leaves one record, also when refused, unknown or answered with 304")
@pytest.mark.conformance("Attacks", "76: reads that end in 200, 304, 400, 401 or 404 leave exactly one audit record each")
def test_every_request_leaves_one_audit_record(
    database: Database, make_store: Callable[[Database], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(database)
    seen: list[tuple[str, str, str]] = []

    def note(record: AuditRecord) -> None:
        seen.append((record.interaction, record.outcome, record.reason))

    monkeypatch.setattr(type(store.audit), "access", lambda _, record: note(record))
    monkeypatch.setattr(type(store.audit), "change", lambda _, _tx, record: note(record))
    api = Api(store)

    def left(*request: Any, **headers: str) -> list[tuple[str, str, str]]:
        seen.clear()
        api(*request, **headers)
        return list(seen)

    made = json.loads(api("POST", "/fhir/Patient", PATIENT).data)["id"]
    one, entries = f"/fhir/Patient/{made}", [{"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}, {"request": {"method": "GET", "url": f"Patient/{made}"}}]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [*entries, entries[0]]}
    for method in ("GET", "HEAD"):
        assert left(method, one) == [("read", "0", "")]
        assert left(method, one, If_None_Match='W/"1"') == [("read", "0", "")]
        assert left(method, one, role="none") == [("read", "4", "unauthenticated")]
        assert left(method, "/fhir/Patient/nobody") == [("read", "4", "not-found")]
        assert left(method, "/fhir/Patient?name=smith") == [("search", "0", "")]
        assert left(method, "/fhir/Patient?colour=red") == [("search", "4", "invalid")]
        assert left(method, f"{one}/_history") == [("history", "0", "")]
        assert left(method, f"{one}/_history/1") == [("vread", "0", "")]
        assert left(method, "/fhir/Colour/1") == [("read", "4", "not-found")]
    assert left("POST", "/fhir/Patient", PATIENT) == [("create", "0", "")]
    assert left("POST", "/fhir/Patient", {**PATIENT, "colour": "red"}) == [("create", "4", "unprocessable")]
    assert left("POST", "/fhir/Patient", b"{") == [("create", "4", "invalid")]
    assert left("PUT", one, {**PATIENT, "id": made, "active": True}) == [("update", "0", "")]
    assert left("PUT", one, {**PATIENT, "id": made}, If_Match='W/"1"') == [("update", "4", "precondition-failed")]
    assert left("POST", "/fhir", {**bundle, "entry": [entries[0], entries[0]]}) == [("transaction", "0", "")]
    assert left("POST", "/fhir", {**bundle, "entry": [entries[0], {"request": {"method": "GET", "url": "Patient/nobody"}}]}) == [("transaction", "4", "not-found")]
    assert left("POST", "/fhir", bundle) == [("transaction", "0", ""), ("read", "0", "")]  # one for what is stored, one for each read
    assert left("POST", "/fhir", {**bundle, "type": "batch"}) == [("create", "0", ""), ("read", "0", ""), ("create", "0", "")]
    assert left("DELETE", one) == [("delete", "0", "")]
    assert left("GET", one) == [("read", "4", "gone")]
