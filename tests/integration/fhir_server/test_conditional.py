"""Conditional update, patch and delete, and the preconditions of reads and writes, on both databases."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from chartloop.kernel.access.scope import Scope
from fhir_server.patching.documents import JSON_PATCH
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.test_http import Api
from tests.integration.fhir_server.test_races import _race

PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
ANN: dict[str, Any] = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}], "name": [{"family": "Ann"}]}
WHERE = "/fhir/Patient?identifier=urn:mrn|1"


@pytest.fixture
def api(store: Store) -> Api:
    """The API on one database."""
    return Api(store)


def _text(answer: TestResponse) -> str:
    return str(json.loads(answer.data)["issue"][0]["diagnostics"])


def _total(api: Api) -> int:
    return int(json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"])


@pytest.mark.conformance("FHIR R4: interactions", "conditional update: creates, updates the one match, answers 412 to several")
def test_a_conditional_update_creates_then_updates(api: Api) -> None:
    made = api("PUT", WHERE, ANN)
    assert made.status_code == 201
    id_ = json.loads(made.data)["id"]
    assert made.headers["Location"].endswith(f"/Patient/{id_}/_history/1")
    again = api("PUT", WHERE, ANN)
    assert (again.status_code, again.headers["ETag"]) == (200, 'W/"1"')
    changed = api("PUT", WHERE, {**ANN, "active": True, "id": id_}, If_Match='W/"1"')
    assert (changed.status_code, changed.headers["ETag"], json.loads(changed.data)["id"]) == (200, 'W/"2"', id_)
    assert api("PUT", WHERE, ANN, If_Match='W/"1"').status_code == 412
    assert api("PUT", WHERE, ANN, If_None_Match="*").status_code == 412
    other = api("PUT", WHERE, {**ANN, "id": "other"})
    assert (other.status_code, _text(other)) == (400, "The body's id is not the id of the match.")
    assert api("POST", "/fhir/Patient", ANN).status_code == 201
    for method, body, kind in (("PUT", ANN, "fhir+json"), ("DELETE", None, "fhir+json"), ("PATCH", [], "json-patch+json")):
        several = api(method, WHERE, body, Content_Type=f"application/{kind}")
        assert (several.status_code, json.loads(several.data)["issue"][0]["code"]) == (412, "multiple-matches")
    assert _total(api) == 2


@pytest.mark.conformance("FHIR R4: interactions", "conditional update with an id in the body: made under it by who may assign ids, 405 for others, 409 where it is taken")
def test_an_id_in_the_body_is_taken_from_who_may_assign_ids(api: Api) -> None:
    weight = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "weight"}, "identifier": [{"value": "1"}]}
    assert api("PUT", "/fhir/Observation?identifier=1", weight, role="clinician").status_code == 405
    assert api("PUT", "/fhir/Observation?identifier=1", weight, If_Match="*").status_code == 412
    assert api("PUT", "/fhir/Observation?identifier=1", weight, If_None_Match="*").status_code == 201
    taken = api("PUT", "/fhir/Observation?identifier=2", weight)
    assert (taken.status_code, _text(taken)) == (409, "The condition matches nothing, and there is a resource with the body's id.")
    assert api("PUT", "/fhir/Observation?identifier=1", {**weight, "status": "amended"}, role="clinician").status_code == 200
    assert api("GET", "/fhir/Observation/o1").headers["ETag"] == 'W/"2"'


@pytest.mark.conformance("FHIR R4: interactions", "conditional delete of the one match; nothing to delete is no failure")
def test_a_conditional_delete_deletes_the_one_match(api: Api) -> None:
    none = api("DELETE", WHERE)
    assert (none.status_code, "ETag" in none.headers) == (204, False)
    assert api("DELETE", WHERE, If_Match='W/"1"').status_code == 412
    path = api("POST", "/fhir/Patient", ANN).headers["Location"].removeprefix("http://127.0.0.1:8080").partition("/_history")[0]
    assert api("DELETE", WHERE, If_Match='W/"2"').status_code == 412
    gone = api("DELETE", WHERE, If_Match='W/"1"')
    assert (gone.status_code, gone.headers["ETag"]) == (204, 'W/"2"')
    assert api("GET", path).status_code == 410
    assert b"OperationOutcome" in api("DELETE", WHERE, Prefer="return=OperationOutcome").data


@pytest.mark.conformance("FHIR R4: patch", "conditional patch: of the one match, 404 where there is none")
def test_a_conditional_patch_patches_the_one_match(api: Api) -> None:
    patch, kind = [{"op": "add", "path": "/active", "value": True}], "application/json-patch+json"
    assert api("PATCH", WHERE, patch, Content_Type=kind).status_code == 404
    api("POST", "/fhir/Patient", ANN)
    assert api("PATCH", WHERE, patch, Content_Type=kind, If_Match='W/"2"').status_code == 412
    done = api("PATCH", WHERE, patch, Content_Type=kind, If_Match='W/"1"')
    assert (done.status_code, done.headers["ETag"], json.loads(done.data)["active"]) == (200, 'W/"2"', True)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_write_on_a_type_needs_a_condition_that_can_be_judged(api: Api, method: str) -> None:
    body, kind = (ANN, "application/fhir+json") if method == "PUT" else ([], "application/json-patch+json")
    api("POST", "/fhir/Patient", ANN)
    for query, status in (("", 405), ("?_format=json", 400), ("?colour=red", 400), ("?identifier=urn:mrn|1&_sort=birthdate", 400)):
        assert api(method, f"/fhir/Patient{query}", body, Content_Type=kind).status_code == status, query
    assert _total(api) == 1


@pytest.mark.conformance("FHIR R4: interactions", "If-None-Match: * on an update only creates")
def test_an_update_may_be_told_to_create_only(api: Api) -> None:
    body = {**ANN, "id": "p1"}
    assert api("PUT", "/fhir/Patient/p1", body, If_None_Match="*").status_code == 201
    refused = api("PUT", "/fhir/Patient/p1", {**body, "active": True}, If_None_Match="*")
    assert (refused.status_code, _text(refused)) == (412, "If-None-Match: * is for creating, and there is a resource already.")
    assert api("PUT", "/fhir/Patient/p1", body, If_None_Match='W/"1"').status_code == 400
    api("DELETE", "/fhir/Patient/p1")
    assert api("PUT", "/fhir/Patient/p1", body, If_None_Match="*").headers["ETag"] == 'W/"3"'


@pytest.mark.conformance("FHIR R4: interactions", "If-None-Match compares weakly and takes lists; it goes before If-Modified-Since; 304 for read and vread")
def test_conditional_reads_answer_304(api: Api) -> None:
    api("PUT", "/fhir/Patient/p1", {**ANN, "id": "p1"})
    for path in ("/fhir/Patient/p1", "/fhir/Patient/p1/_history/1"):
        modified = api("GET", path).headers["Last-Modified"]
        for known in ('W/"1"', '"1"', 'W/"7", W/"1"', "*"):
            assert api("GET", path, If_None_Match=known).status_code == 304
        assert api("GET", path, If_None_Match='W/"2"', If_Modified_Since=modified).status_code == 200
        assert api("GET", path, If_Modified_Since=modified).status_code == 304
        assert api("GET", path, If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT").status_code == 200
        assert api("GET", path, If_Modified_Since="yesterday").status_code == 200


@pytest.mark.conformance("Attacks", "42: a condition finds nothing that is hidden")
@pytest.mark.conformance("FHIR R4: interactions", "a condition finds nothing that is hidden, and may not use elements that are hidden")
def test_a_condition_finds_nothing_that_is_hidden(api: Api) -> None:
    secret = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}, "identifier": [{"value": "1"}], "meta": {"security": [PSY]}}
    shown = {key: value for key, value in secret.items() if key not in ("id", "meta")}
    assert api("PUT", "/fhir/Observation/o1", secret).status_code == 201
    where, patch = "/fhir/Observation?identifier=1", {"Content_Type": "application/json-patch+json"}
    assert api("PATCH", where, [], role="clinician", **patch).status_code == 404
    assert api("DELETE", where).status_code == 204
    assert api("PUT", where, shown, role="clinician").status_code == 201
    assert api("GET", "/fhir/Observation/o1", role="psychiatric-clinician").headers["ETag"] == 'W/"1"'
    for method, body in (("PUT", ANN), ("DELETE", None)):
        assert api(method, WHERE, body, role="billing-administrator").status_code == 403
    task = {"resourceType": "Task", "status": "ready", "intent": "order"}
    for method, body in (("PUT", task), ("DELETE", None)):
        assert api(method, "/fhir/Task?status=ready", body, role="clinician").status_code in (403, 404)
    assert api("DELETE", "/fhir/Observation?identifier=1", role="clinician").status_code == 403


def _entry(method: str, url: str, resource: object = None, **request: str) -> dict[str, Any]:
    said = {"fullUrl": f"urn:uuid:{method}:{url}", "request": {"method": method, "url": url, **request}}
    return said if resource is None else {**said, "resource": resource}


def _send(api: Api, type_: str, *entries: dict[str, Any]) -> TestResponse:
    return api("POST", "/fhir", {"resourceType": "Bundle", "type": type_, "entry": list(entries)})


def _statuses(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [entry["response"]["status"][:3] for entry in json.loads(answer.data)["entry"]]


@pytest.mark.conformance("FHIR R4: transactions", "entries may update, patch and delete by a condition, and others refer to what it finds")
@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_entries_may_have_conditions(api: Api, type_: str) -> None:
    bob = {**ANN, "identifier": [{"system": "urn:mrn", "value": "2"}]}
    old = json.loads(api("POST", "/fhir/Patient", ANN).data)["id"]
    update = _entry("PUT", "Patient?identifier=urn:mrn|1", {**ANN, "active": True})
    create = _entry("PUT", "Patient?identifier=urn:mrn|2", bob)
    nothing = _entry("DELETE", "Patient?identifier=urn:mrn|3")
    answer = _send(api, type_, update, create, nothing)
    assert _statuses(answer) == ["200", "201", "204"]
    if type_ == "transaction":
        about = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": update["fullUrl"]}}
        answer = _send(api, type_, {**update, "resource": ANN}, _entry("POST", "Basic", about))
        assert _statuses(answer) == ["200", "201"]
        assert json.loads(api("GET", f"/fhir/Basic?subject=Patient/{old}").data)["entry"]
    patch = {"resourceType": "Parameters"}
    assert _statuses(_send(api, type_, _entry("PATCH", "Patient?identifier=urn:mrn|2", patch), _entry("DELETE", "Patient?identifier=urn:mrn|1"))) == ["200", "204"]
    assert api("GET", f"/fhir/Patient/{old}").status_code == 410
    only = _entry("PUT", "Patient/p9", {**ANN, "id": "p9"}, ifNoneMatch="*")
    assert _statuses(_send(api, type_, only)) == ["201"]
    refused = _send(api, type_, only)
    assert (_statuses(refused) if type_ == "batch" else [str(refused.status_code)]) == ["412"]


@pytest.mark.conformance("FHIR R4: transactions", "two entries that come to mean one resource by their conditions are refused")
def test_two_entries_that_find_one_resource_are_refused(api: Api) -> None:
    api("PUT", "/fhir/Patient/p1", {**ANN, "id": "p1"})
    by_name, by_number, by_id = (
        _entry("PUT", url, {**ANN, "id": "p1", "active": True}) for url in ("Patient?family=Ann", "Patient?identifier=urn:mrn|1", "Patient/p1")
    )
    for entries in ((by_name, by_number), (by_name, by_id), (_entry("DELETE", "Patient?family=Ann"), by_id)):
        answer = _send(api, "transaction", *entries)
        assert (answer.status_code, json.loads(answer.data)["issue"][0]["code"]) == (400, "duplicate")
    missing = _send(api, "transaction", _entry("PATCH", "Patient?family=Nobody", {"resourceType": "Parameters"}))
    assert (missing.status_code, json.loads(missing.data)["issue"][0]["expression"]) == (404, ["Bundle.entry[0]"])
    assert api("GET", "/fhir/Patient/p1").headers["ETag"] == 'W/"1"'


@pytest.mark.conformance("FHIR R4: interactions", "racing conditional updates and creates with one condition make one resource")
def test_racing_conditional_updates_make_no_duplicate(repository: Repository, operator: Scope) -> None:
    for value in range(5):
        query = f"identifier=urn:mrn|{value}"
        body = {**ANN, "identifier": [{"system": "urn:mrn", "value": str(value)}]}

        def write(number: int, query: str = query, body: dict[str, Any] = body) -> object:
            if number % 3 == 0:
                return repository.create(operator, body, if_none_exist=query)
            return repository.conditional_update(operator, "Patient", query, {**body, "name": [{"family": f"n{number}"}]})

        written = _race(10, write)
        assert len({each.stored.id for each in written}) == 1  # type: ignore[attr-defined]
        assert sum(each.created for each in written) == 1  # type: ignore[attr-defined]
        assert repository.search(operator, "Patient", query + "&_total=accurate").total == 1


@pytest.mark.conformance("FHIR R4: patch", "racing patches of one resource are all done, one after another")
def test_racing_patches_are_all_done(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", {**ANN, "id": "p1"})
    patches = [json.dumps([{"op": "add", "path": "/identifier/-", "value": {"value": str(number)}}]).encode() for number in range(8)]
    for written in _race(8, lambda number: repository.patch(operator, "Patient", "p1", patches[number])):
        assert written.changed  # type: ignore[attr-defined]
    assert len(repository.read(operator, "Patient", "p1").json()["identifier"]) == 9
    binaries = [{"resourceType": "Binary", "contentType": JSON_PATCH, "data": base64.b64encode(patch).decode()} for patch in patches]
    bundles = [{"resourceType": "Bundle", "type": "transaction", "entry": [_entry("PATCH", "Patient/p1", binary)]} for binary in binaries]
    _race(8, lambda number: repository.transaction(operator, bundles[number]))
    assert len(repository.read(operator, "Patient", "p1").json()["identifier"]) == 17
