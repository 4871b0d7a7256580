"""PATCH over HTTP and inside Bundles, on both databases: literal patches in, stored bytes out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from fhir_server.store import Store
from tests.integration.fhir_server.test_http import Api

JSON_PATCH = "application/json-patch+json"
WEIGHT = b'{"resourceType":"Observation","id":"o1","status":"preliminary","code":{"text":"weight"},"valueQuantity":{"value":72.50,"unit":"kg"}}'
FINAL = [{"op": "test", "path": "/status", "value": "preliminary"}, {"op": "replace", "path": "/status", "value": "final"}]
PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
FHIRPATH_FINAL = {
    "resourceType": "Parameters",
    "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Observation.status"}, {"name": "value", "valueCode": "final"},
    ]}],
}  # fmt: skip


@pytest.fixture
def api(store: Store) -> Api:
    """The API with one observation."""
    api = Api(store)
    assert api("PUT", "/fhir/Observation/o1", WEIGHT).status_code == 201
    return api


def _patch(api: Api, path: str, patch: object, **said: Any) -> TestResponse:
    return api("PATCH", f"/fhir/{path}", patch, **{"Content_Type": JSON_PATCH, **said})


def _text(answer: TestResponse) -> str:
    return str(json.loads(answer.data)["issue"][0]["diagnostics"])


@pytest.mark.conformance("FHIR R4: patch", "JSON Patch and FHIRPath Patch make the next version, and every other byte stays: 72.50 stays 72.50")
@pytest.mark.parametrize(("patch", "kind"), [(FINAL, JSON_PATCH), (FHIRPATH_FINAL, "application/fhir+json"), (FHIRPATH_FINAL, "application/json; charset=utf-8")])
def test_a_patch_makes_the_next_version(api: Api, patch: object, kind: str) -> None:
    answer = _patch(api, "Observation/o1", patch, Content_Type=kind, role="clinician")
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.data == api("GET", "/fhir/Observation/o1").data
    assert b'"status":"final","code":{"text":"weight"},"valueQuantity":{"value":72.50,"unit":"kg"}' in answer.data
    assert len(json.loads(api("GET", "/fhir/Observation?status=final").data)["entry"]) == 1


@pytest.mark.conformance("FHIR R4: patch", "a patch that changes nothing makes no version")
def test_a_patch_that_changes_nothing_makes_no_version(api: Api) -> None:
    for patch in ([], [{"op": "replace", "path": "/status", "value": "preliminary"}], [{"op": "replace", "path": "/meta/versionId", "value": "9"}]):
        answer = _patch(api, "Observation/o1", patch)
        assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"1"')


@pytest.mark.conformance("FHIR R4: patch", "statuses of a patch: 200, 400, 404, 410, 412, 415, 422, and nothing is stored")
def test_a_patch_that_is_refused_says_why_and_stores_nothing(api: Api) -> None:
    cases: list[tuple[int, object, dict[str, str], str]] = [
        (412, FINAL, {"If_Match": 'W/"7"'}, "The current version is not the one that If-Match names."),
        (412, FINAL, {"If_Match": 'W/"7", W/"8"'}, "The current version is not the one that If-Match names."),
        (412, FINAL, {"If_Match": 'W/"1-0123456789abcdef"'}, "This tag belongs to a part of the resource; storing it would wipe the rest."),
        (400, {"op": "add"}, {}, "A JSON Patch is an array of operations."),
        (400, b"[", {}, "the body is not JSON: Input data was truncated"),
        (422, [{"op": "test", "path": "/status", "value": "final"}], {}, "Operation 0 (test): the value is another one"),
        (422, [*FINAL, {"op": "remove", "path": "/note"}], {}, "Operation 2 (remove): the path leads to nothing"),
        (422, [{"op": "remove", "path": "/status"}], {}, "is required"),
        (422, [{"op": "add", "path": "/colour", "value": "red"}], {}, "Observation has no such element"),
        (422, [{"op": "add", "path": "/meta/tag", "value": [{"code": "SUBSETTED"}]}], {}, "This is a part of a resource; storing it would wipe the rest."),
        (400, [{"op": "replace", "path": "/id", "value": "o2"}], {}, "The body's id must be the id in the address."),
        (400, [{"op": "replace", "path": "/resourceType", "value": "Patient"}], {}, "the resourceType must be Observation"),
        (400, [{"op": "replace", "path": "", "value": []}], {}, "the body must be an object whose resourceType names an R4 resource type"),
        (415, FINAL, {"Content_Type": "application/xml-patch+xml"}, "A patch is application/json-patch+json, or a Parameters resource as application/fhir+json or application/fhir+xml."),
        (415, FINAL, {"Content_Encoding": "br"}, "A body is plain or compressed once, with gzip."),
        (400, {"resourceType": "Patient"}, {"Content_Type": "application/fhir+json"}, "the resourceType must be Parameters"),
    ]  # fmt: skip
    for status, patch, headers, why in cases:
        answer = _patch(api, "Observation/o1", patch, **headers)
        assert (answer.status_code, _text(answer)) == (status, why)
    assert _patch(api, "Observation/o9", FINAL).status_code == 404
    assert api("GET", "/fhir/Observation/o1").headers["ETag"] == 'W/"1"'
    assert api("DELETE", "/fhir/Observation/o1").status_code == 204
    assert _patch(api, "Observation/o1", FINAL).status_code == 410


@pytest.mark.conformance("FHIR R4: interactions", "If-Match may name several versions, or any")
def test_if_match_may_be_a_list_or_any(api: Api) -> None:
    assert _patch(api, "Observation/o1", FINAL, If_Match='W/"1", W/"3"').status_code == 200
    assert _patch(api, "Observation/o1", [{"op": "remove", "path": "/valueQuantity"}], If_Match="*", Prefer="return=minimal").data == b""
    assert _patch(api, "Observation/o1", [], If_Match="x").status_code == 400
    assert api("DELETE", "/fhir/Observation/o1", If_Match='W/"1"').status_code == 412
    assert b"OperationOutcome" in api("DELETE", "/fhir/Observation/o1", If_Match="*", Prefer="return=OperationOutcome").data
    assert api("PUT", "/fhir/Observation/o1", WEIGHT, If_Match="*").status_code == 412


@pytest.mark.conformance("Attacks", "33: labels stay")
@pytest.mark.conformance("FHIR R4: patch", "labels stay, whatever is patched, and a label that the patched content asks for is added")
def test_labels_stay(api: Api) -> None:
    hidden_now = _patch(api, "Observation/o1", [{"op": "add", "path": "/meta/security", "value": [PSY]}])
    assert (hidden_now.status_code, hidden_now.data) == (200, b"")
    assert _patch(api, "Observation/o1", FINAL).status_code == 404
    seen = _patch(api, "Observation/o1", [{"op": "remove", "path": "/meta"}, *FINAL], role="psychiatric-clinician")
    assert (seen.status_code, seen.headers["ETag"], b"security" in seen.data) == (200, 'W/"3"', False)
    assert api("GET", "/fhir/Observation/o1", role="clinician").status_code == 404


@pytest.mark.conformance("Attacks", "32: what is hidden cannot be patched or tested")
@pytest.mark.conformance("FHIR R4: patch", "who may not see a resource, or not all of it, learns nothing by patching it")
def test_what_is_hidden_cannot_be_patched_or_tested(api: Api) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "photo": [{"title": "secret"}]}

    labelled = {"resourceType": "Observation", "id": "o2", "status": "final", "code": {"text": "x"}, "meta": {"security": [PSY]}}
    for resource in (patient, labelled):
        assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201
    guesses = [[{"op": "test", "path": "/status", "value": status}] for status in ("final", "preliminary")] + [[{"op": "remove", "path": "/x"}]]
    for role in ("clinician", "operator"):
        hidden, missing = ([_patch(api, f"Observation/{id_}", guess, role=role) for guess in guesses] for id_ in ("o2", "o3"))
        assert [(each.status_code, each.data) for each in hidden] == [(each.status_code, each.data) for each in missing]
    for guess in ([{"op": "test", "path": "/photo/0/title", "value": text}] for text in ("secret", "other")):
        assert _patch(api, "Patient/p1", guess, role="billing-administrator").status_code == 403
    assert _patch(api, "Patient?family=x", guesses[0], role="billing-administrator").status_code == 403


@pytest.mark.conformance("Attacks", "32: who sees a part and may patch is refused before any test")
def test_who_sees_a_part_and_may_patch_is_refused_before_any_test(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(store)
    assert api("PUT", "/fhir/Observation/o1", WEIGHT).status_code == 201
    monkeypatch.setattr(type(store.access), "elements", lambda _, scope, row: frozenset({"status"}) if scope.action == "read" else None)
    answers = [_patch(api, "Observation/o1", [{"op": "test", "path": "/valueQuantity/value", "value": value}]) for value in (72.5, 1)]
    assert {(answer.status_code, _text(answer)) for answer in answers} == {(403, "Who sees a part of a resource cannot patch it.")}


def _entry(url: str, resource: object = None, method: str = "PATCH", **request: str) -> dict[str, Any]:
    said = {"fullUrl": f"urn:uuid:{url}", "request": {"method": method, "url": url, **request}}
    return said if resource is None else {**said, "resource": resource}


def _binary(patch: object, kind: str = JSON_PATCH) -> dict[str, str]:
    return {"resourceType": "Binary", "contentType": kind, "data": base64.b64encode(json.dumps(patch).encode()).decode()}


def _statuses(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [entry["response"]["status"][:3] for entry in json.loads(answer.data)["entry"]]


@pytest.mark.conformance("FHIR R4: transactions", "an entry patches, as a Binary with a JSON Patch or as Parameters; references to other entries are those that are made")
@pytest.mark.parametrize("type_", ["batch", "transaction"])
@pytest.mark.parametrize("patch", [_binary(FINAL), FHIRPATH_FINAL])
def test_an_entry_may_patch(api: Api, type_: str, patch: object) -> None:
    bundle = {"resourceType": "Bundle", "type": type_, "entry": [
        _entry("Observation/o1", patch, ifMatch='W/"1"'),
        _entry("Patient", {"resourceType": "Patient"}, "POST"),
        _entry("Observation/o1", None, "GET"),
    ]}  # fmt: skip
    assert _statuses(api("POST", "/fhir", bundle)) == ["200", "201", "200"]
    assert b'"value":72.50' in api("GET", "/fhir/Observation/o1").data
    if type_ == "batch":
        assert _statuses(api("POST", "/fhir", bundle)) == ["412", "201", "200"]
    else:
        refused = api("POST", "/fhir", bundle)
        assert (refused.status_code, json.loads(refused.data)["issue"][0]["expression"]) == (412, ["Bundle.entry[0]"])
    assert api("GET", "/fhir/Observation/o1").headers["ETag"] == 'W/"2"'


def test_a_patch_in_a_transaction_refers_to_what_the_transaction_makes(api: Api) -> None:
    subject = {"op": "add", "path": "/subject", "value": {"reference": "urn:uuid:Patient"}}
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Observation"}, {"name": "name", "valueString": "subject"},
        {"name": "value", "valueReference": {"reference": "urn:uuid:Patient"}},
    ]}]}  # fmt: skip
    for patch in (_binary([subject]), parameters):
        entries = [_entry("Observation/o1", patch), _entry("Patient", {"resourceType": "Patient"}, "POST")]
        answer = api("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert _statuses(answer) == ["200", "201"]
        made = json.loads(answer.data)["entry"][1]["response"]["location"].split("/Patient/")[1].partition("/")[0]
        assert json.loads(api("GET", "/fhir/Observation/o1").data)["subject"] == {"reference": f"Patient/{made}"}
        _patch(api, "Observation/o1", [{"op": "remove", "path": "/subject"}])


@pytest.mark.conformance("FHIR R4: transactions", "a patch that cannot be done fails the whole and is named")
@pytest.mark.parametrize(
    ("patch", "status", "why"),
    [
        (_binary([*FINAL, *FINAL]), 422, "Bundle.entry[1]: Operation 2 (test): the value is another one"),
        (_binary([{"op": "remove", "path": "/status"}]), 422, "Bundle.entry[1]: is required"),
        (_binary([], "application/xml-patch+xml"), 415, "Bundle.entry[1]: A patch is application/json-patch+json, or a Parameters resource as application/fhir+json or application/fhir+xml."),
        ({"resourceType": "Patient"}, 400, "Bundle.entry[1]: the resourceType must be Parameters"),
        (None, 400, "Bundle.entry[1]: PATCH needs a resource."),
    ],
)  # fmt: skip
def test_a_patch_that_fails_fails_the_whole(api: Api, patch: object, status: int, why: str) -> None:
    entries = [_entry("Patient", {"resourceType": "Patient"}, "POST"), _entry("Observation/o1", patch)]
    answer = api("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert (answer.status_code, _text(answer)) == (status, why)
    assert json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"] == 0
    batch = api("POST", "/fhir", {"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert _statuses(batch) == ["201", str(status)]
