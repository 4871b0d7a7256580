"""What entries of batches and transactions may ask for: conditional reads, HEAD, histories, operations, Prefer; on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from fhir_server.store import Store
from tests.integration.fhir_server.conftest import BASE
from tests.integration.fhir_server.test_http import Api

PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
ANN: dict[str, Any] = {
    "resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:mrn", "value": "1"}], "name": [{"family": "Ann"}],
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Ann</div>'}}
BOTH = pytest.mark.parametrize("type_", ["batch", "transaction"])


@pytest.fixture
def api(store: Store) -> Api:
    """A store with one patient."""
    api = Api(store)
    assert api("PUT", "/fhir/Patient/p", ANN).status_code == 201
    return api


def _entry(method: str, url: str, resource: object = None, full_url: str = "", **request: str) -> dict[str, Any]:
    said: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if full_url:
        said["fullUrl"] = full_url
    return said if resource is None else {**said, "resource": resource}


def _send(api: Api, type_: str, *entries: dict[str, Any], **headers: str) -> TestResponse:
    return api("POST", "/fhir", {"resourceType": "Bundle", "type": type_, "entry": list(entries)}, **headers)


def _entries(answer: TestResponse) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.data
    return list(json.loads(answer.data)["entry"])


def _issue(answer: TestResponse) -> tuple[int, str, str]:
    [issue] = json.loads(answer.data)["issue"]
    return answer.status_code, issue["code"], issue["expression"][0]


@pytest.mark.conformance("FHIR R4: transactions", "GET entries with ifNoneMatch or ifModifiedSince answer 304; HEAD entries answer without the resource")
@BOTH
def test_an_entry_reads_conditionally(api: Api, type_: str) -> None:
    updated = json.loads(api("GET", "/fhir/Patient/p").data)["meta"]["lastUpdated"]
    entries = _entries(_send(
        api, type_, _entry("GET", "Patient/p", ifNoneMatch='W/"1"'), _entry("GET", "Patient/p", ifNoneMatch='W/"2"'),
        _entry("GET", "Patient/p/_history/1", ifModifiedSince=updated), _entry("GET", "Patient/p", ifModifiedSince="2020-01-01T00:00:00Z"),
        _entry("HEAD", "Patient/p"), _entry("HEAD", "Patient?family=Ann"),
    ))  # fmt: skip
    assert [entry["response"]["status"][:3] for entry in entries] == ["304", "200", "304", "200", "200", "200"]
    assert ["resource" in entry for entry in entries] == [False, True, False, True, False, False]
    assert [entry["response"].get("etag") for entry in entries] == ['W/"1"'] * 5 + [None]
    assert entries[0]["response"]["lastModified"]


@pytest.mark.conformance("FHIR R4: transactions", "histories of instance, type and system as entries; links inside name their own address")
@BOTH
def test_an_entry_reads_a_history(api: Api, type_: str) -> None:
    urls = ["Patient/p/_history", "Patient/_history?_count=1", "_history", f"{BASE}/Patient/p/_history?_at=2020", "Patient?family=Ann"]
    entries = _entries(_send(api, type_, *(_entry("GET", url) for url in urls)))
    assert [entry["resource"]["type"] for entry in entries] == ["history"] * 4 + ["searchset"]
    assert [entry["resource"]["link"][0]["url"] for entry in entries] == [f"{BASE}/{url.removeprefix(BASE + '/')}" for url in urls]
    assert [len(entry["resource"].get("entry", ())) for entry in entries] == [1, 1, 1, 0, 1]


@pytest.mark.conformance("FHIR R4: transactions", "operations as entries, by the table of operations; in a transaction they see what it wrote, and change nothing")
@BOTH
def test_an_entry_calls_an_operation(api: Api, type_: str) -> None:
    about = {"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": 5}]}
    entries = _entries(_send(
        api, type_, _entry("GET", "Patient/p/$everything?_type=Basic"), _entry("PUT", "Basic/b", about), _entry("POST", "Patient/p/$everything", parameters),
        _entry("POST", "Patient/$validate", {"resourceType": "Patient", "active": "yes"}), _entry("GET", "Patient/p/$meta"), _entry("GET", "$meta"),
    ))  # fmt: skip
    assert [entry["response"]["status"][:3] for entry in entries] == ["200", "201", "200", "200", "200", "200"]
    assert [entry["resource"]["resourceType"] for entry in entries if "resource" in entry] == ["Bundle", "Bundle", "OperationOutcome", "Parameters", "Parameters"]
    found = [entry["resource"]["id"] for entry in entries[0]["resource"].get("entry", ())]
    assert found == (["b"] if type_ == "transaction" else [])
    assert entries[3]["resource"]["issue"][0]["severity"] == "error"


@pytest.mark.conformance("FHIR R4: transactions", "an operation that changes something is carried out in a batch, and refused in a transaction before anything is stored")
def test_an_operation_that_changes_is_no_part_of_a_transaction(api: Api) -> None:
    tag = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}]}
    write, call = _entry("PUT", "Patient/q", {**ANN, "id": "q"}), _entry("POST", "Patient/p/$meta-add", tag, ifMatch='W/"1"')
    refused = _send(api, "transaction", write, call)
    assert _issue(refused) == (400, "not-supported", "Bundle.entry[1].request.url")
    assert api("GET", "/fhir/Patient/q").status_code == 404
    done = _entries(_send(api, "batch", write, call, call))
    assert [(entry["response"]["status"][:3], entry["response"].get("etag")) for entry in done] == [("201", 'W/"1"'), ("200", 'W/"2"'), ("412", None)]
    missing = _send(api, "transaction", write, _entry("GET", "Patient/nobody/$everything"))
    assert _issue(missing) == (404, "not-found", "Bundle.entry[1]")


@pytest.mark.conformance("FHIR R4: transactions", "Prefer: return=minimal, representation and OperationOutcome choose what each writing entry answers")
@BOTH
def test_prefer_chooses_what_entries_answer(api: Api, type_: str) -> None:
    write, gone = _entry("PUT", "Patient/q", {**ANN, "id": "q"}), _entry("DELETE", "Patient/p")
    for prefer, resource, outcome in (("", False, False), ("return=minimal", False, False), ("return=representation", True, False)):
        headers = {"Prefer": prefer} if prefer else {}
        [entry] = _entries(_send(api, type_, write, **headers))
        assert ("resource" in entry, "outcome" in entry["response"]) == (resource, outcome), prefer
    told = _entries(_send(api, type_, write, gone, Prefer="return=OperationOutcome"))
    assert [entry["response"]["outcome"]["issue"][0]["diagnostics"] for entry in told] == ["Done.", "Deleted: 1."]


@pytest.mark.conformance("FHIR R4: search", "Prefer: handling=lenient and strict hold for searches inside bundles; conditions of writes are never lenient")
@BOTH
def test_prefer_handling_holds_for_searches_in_entries(api: Api, type_: str) -> None:
    search = _entry("GET", "Patient?colour=red&family=Ann")
    for prefer in ("", "handling=strict"):
        strict = _send(api, type_, search, **({"Prefer": prefer} if prefer else {}))
        assert (_entries(strict)[0]["response"]["status"] if type_ == "batch" else f"{strict.status_code} Bad Request") == "400 Bad Request"
    [lenient] = _entries(_send(api, type_, search, Prefer="handling=lenient"))
    assert [entry["search"]["mode"] for entry in lenient["resource"]["entry"]] == ["match", "outcome"]
    for entry in (_entry("DELETE", "Patient?colour=red&family=Ann"), _entry("POST", "Patient", {**ANN}, ifNoneExist="colour=red&family=Ann")):
        answer = _send(api, type_, entry, Prefer="handling=lenient")
        assert (_entries(answer)[0]["response"]["status"][:3] if type_ == "batch" else str(answer.status_code)) == "400"


@pytest.mark.conformance("FHIR R4: transactions", "fullUrls below our own base and urn:uuid are followed in references, uri elements and links of the narrative")
def test_links_between_entries_are_followed_everywhere(api: Api) -> None:
    urn, ours = "urn:uuid:22222222-2222-4222-8222-222222222222", f"{BASE}/Patient/old"
    new = {key: value for key, value in ANN.items() if key != "id"}
    about = {
        "resourceType": "DocumentReference", "status": "current", "subject": {"reference": ours}, "author": [{"reference": urn}],
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{urn}">Ann</a> {urn} <img src="{ours}" alt=""/></div>'},
        "content": [{"attachment": {"url": urn}}],
    }  # fmt: skip
    entries = _entries(_send(
        api, "transaction", _entry("POST", "DocumentReference", about), _entry("POST", "Patient", {**new, "active": True}, full_url=ours),
        _entry("POST", "Practitioner", {"resourceType": "Practitioner"}, full_url=urn), Prefer="return=representation",
    ))  # fmt: skip
    stored, patient, practitioner = (entry["resource"] for entry in entries)
    assert (stored["subject"]["reference"], stored["author"][0]["reference"]) == (f"Patient/{patient['id']}", f"Practitioner/{practitioner['id']}")
    assert stored["content"][0]["attachment"]["url"] == f"Practitioner/{practitioner['id']}"
    assert f'href="Practitioner/{practitioner["id"]}"' in stored["text"]["div"]
    assert f'src="Patient/{patient["id"]}"' in stored["text"]["div"]
    assert f"</a> {urn} " in stored["text"]["div"]


@pytest.mark.conformance("FHIR R4: transactions", "a precondition that fails is 412 and names its entry; nothing is stored")
@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (_entry("PUT", "Patient/p", {**ANN, "active": True}, ifMatch='W/"7"'), 412), (_entry("DELETE", "Patient/p", ifMatch='W/"7"'), 412),
        (_entry("DELETE", "Patient?identifier=urn:mrn|1", ifMatch='W/"7"'), 412), (_entry("PUT", "Patient/p", ANN, ifNoneMatch="*"), 412),
        (_entry("PATCH", "Patient?family=Ann", {"resourceType": "Parameters"}, ifMatch='W/"7"'), 412),
        (_entry("POST", "Patient", {"resourceType": "Patient"}, ifNoneExist=f"{BASE}/Patient?family=Ann&family=Nobody&colour=red"), 400),
    ],
)  # fmt: skip
def test_a_failing_precondition_names_its_entry(api: Api, entry: dict[str, Any], status: int) -> None:
    other = _entry("PUT", "Patient/q", {**ANN, "id": "q", "identifier": [{"value": "2"}], "name": [{"family": "Bob"}]})
    answer = _send(api, "transaction", other, entry)
    assert (answer.status_code, json.loads(answer.data)["issue"][0]["expression"][0][:15]) == (status, "Bundle.entry[1]"), answer.data
    assert api("GET", "/fhir/Patient/q").status_code == 404
    assert api("GET", "/fhir/Patient/p").headers["ETag"] == 'W/"1"'


@pytest.mark.conformance("Attacks", "42: entries find nothing that is hidden")
@pytest.mark.conformance("Access", "entries that read histories, operations and with conditions find nothing that is hidden")
@BOTH
def test_entries_find_nothing_that_is_hidden(api: Api, type_: str) -> None:
    hidden = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}, "meta": {"security": [PSY]}}
    assert api("PUT", "/fhir/Observation/o", hidden).status_code == 201
    for name in ("o", "never"):
        for url in (f"Observation/{name}", f"Observation/{name}/_history", f"Observation/{name}/$meta", f"Observation/{name}/_history/1"):
            answer = _send(api, type_, _entry("GET", url, ifNoneMatch='W/"1"'), role="clinician")
            assert (_entries(answer)[0]["response"]["status"][:3] if type_ == "batch" else str(answer.status_code)) == "404", url
    [everything] = _entries(_send(api, type_, _entry("GET", "Patient/p/$everything"), role="clinician"))
    assert [entry["resource"]["id"] for entry in everything["resource"]["entry"]] == ["p"]
    assert api("GET", "/fhir/Observation/o/_history/1/$meta", role="clinician").status_code == 404


@pytest.mark.conformance("FHIR R4: operations", "$meta of a version")
def test_meta_of_a_version(api: Api) -> None:
    tagged = {**ANN, "meta": {"tag": [{"system": "urn:t", "code": "first"}]}}
    api("PUT", "/fhir/Patient/p", tagged)
    api("PUT", "/fhir/Patient/p", {**ANN, "active": False})
    for version, tags in (("1", None), ("2", [{"system": "urn:t", "code": "first"}]), ("3", None)):
        answer = api("GET", f"/fhir/Patient/p/_history/{version}/$meta")
        meta = json.loads(answer.data)["parameter"][0]["valueMeta"]
        assert (meta["versionId"], meta.get("tag")) == (version, tags)
    api("DELETE", "/fhir/Patient/p")
    assert [api("GET", f"/fhir/Patient/p/_history/{version}/$meta").status_code for version in ("2", "4", "5", "x")] == [200, 410, 404, 404]
    assert api("POST", "/fhir/Patient/p/_history/2/$meta").status_code == 200
    assert api("DELETE", "/fhir/Patient/p/_history/2/$meta").status_code in (404, 405)
