"""$validate: literal resources in, every issue out, and nothing stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from fhir_server.store import Store
from tests.integration.fhir_server.test_http import Api

PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
GOOD = {"resourceType": "Patient", "gender": "female", "birthDate": "1970-01-01"}
BAD = {"resourceType": "Patient", "gender": "f", "birthDate": "soon", "contact": [{"gender": "male"}], "nme": 1}
UNCHECKED = "The base specification is checked, with its invariants; slices and profiles are not."


@pytest.fixture
def api(store: Store) -> Api:
    """The API on one database."""
    return Api(store)


def _issues(answer: TestResponse) -> list[tuple[str, str, str]]:
    assert answer.status_code == 200, answer.data
    said = json.loads(answer.data)
    assert said["resourceType"] == "OperationOutcome"
    return [(each["severity"], each["code"], "".join(each.get("expression", ()))) for each in said["issue"]]


def _parameters(*given: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(given)}


def _count(api: Api, type_: str = "Patient") -> int:
    return int(json.loads(api("GET", f"/fhir/{type_}?_summary=count").data)["total"])


@pytest.mark.conformance("FHIR R4: operations", "$validate: every error with its place in one OperationOutcome, and nothing is stored")
def test_every_error_has_its_place(api: Api) -> None:
    expected = [
        ("error", "code-invalid", "Patient.gender"), ("error", "value", "Patient.birthDate"), ("error", "structure", "Patient.nme"),
        ("error", "invariant", "Patient.contact[0]"),
    ]  # fmt: skip
    for body in (BAD, _parameters({"name": "resource", "resource": BAD}), _parameters({"name": "mode", "valueCode": "create"}, {"name": "resource", "resource": BAD})):
        assert _issues(api("POST", "/fhir/Patient/$validate", body)) == expected
    assert _issues(api("POST", "/fhir/Patient/$validate", {**GOOD, "contact": [{"gender": "male"}]})) == [("error", "invariant", "Patient.contact[0]")]
    assert _issues(api("POST", "/fhir/Patient/$validate", b'{"resourceType":"Patient","active":tru}'))[0][:2] == ("error", "structure")
    assert _issues(api("POST", "/fhir/Patient/$validate", {"resourceType": "Group"})) == [("error", "invalid", "resourceType")]
    assert _count(api) == 0


@pytest.mark.conformance("FHIR R4: operations", "$validate: says what was not checked, as warnings and information")
def test_what_was_not_checked_is_said(api: Api) -> None:
    basic = {"resourceType": "Basic", "meta": {"profile": ["urn:a"]}, "code": {"coding": [{"system": "urn:house:codes", "code": "knee-7"}]}}
    answer = api("POST", "/fhir/Basic/$validate", basic)
    assert _issues(answer) == [
        ("information", "informational", ""), ("warning", "invariant", "Basic"), ("warning", "not-found", "Basic.code.coding[0]"),
        ("information", "not-supported", "Basic.meta.profile"), ("information", "not-supported", ""),
    ]  # fmt: skip
    said = [each["diagnostics"] for each in json.loads(answer.data)["issue"]]
    assert said[1] == "dom-6: A resource should have narrative for robust management"
    assert said[2] == "the code system is not loaded: the code was not checked"
    assert said[-1] == UNCHECKED
    narrated = {**GOOD, "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Ada</div>'}}
    assert _issues(api("POST", "/fhir/Patient/$validate", narrated)) == [("information", "informational", ""), ("information", "not-supported", "")]
    assert (_count(api), _count(api, "Basic")) == (0, 0)


@pytest.mark.conformance("FHIR R4: operations", "$validate: modes create, update and delete; profiles are refused by name")
def test_modes_say_what_the_interaction_would_say(api: Api) -> None:
    api("PUT", "/fhir/Patient/p1", {**GOOD, "id": "p1"})
    changed = {**GOOD, "id": "p1", "active": True}
    fine = [("information", "informational", ""), ("warning", "invariant", "Patient"), ("information", "not-supported", "")]
    assert _issues(api("POST", "/fhir/Patient/p1/$validate", changed)) == fine
    assert _issues(api("POST", "/fhir/Patient/$validate?mode=update", changed)) == fine
    assert _issues(api("POST", "/fhir/Patient/$validate?mode=update", GOOD)) == [("error", "required", "Patient.id")]
    assert _issues(api("POST", "/fhir/Patient/p1/$validate", {**GOOD, "id": "p2"})) == [("error", "invalid", "Patient.id")]
    part = {**changed, "meta": {"tag": [{"code": "SUBSETTED"}]}}
    assert _issues(api("POST", "/fhir/Patient/p1/$validate", part)) == [("error", "processing", "Patient.meta.tag")]
    assert _issues(api("POST", "/fhir/Patient/p1/$validate?mode=delete")) == [("information", "informational", "")]
    assert json.loads(api("GET", "/fhir/Patient/p1").data)["meta"]["versionId"] == "1"
    refused = {
        "Patient/$validate?profile=urn:a": "not-supported", "Patient/$validate?mode=profile": "not-supported", "Patient/$validate?mode=guess": "not-supported",
        "Patient/$validate?mode=delete": "invalid", "Patient/p1/$validate?mode=create": "value", "Patient/$validate?x=y": "not-supported",
    }  # fmt: skip
    for path, code in refused.items():
        answer = api("POST", f"/fhir/{path}", changed)
        assert (answer.status_code, json.loads(answer.data)["issue"][0]["code"]) == (400, code), path
    for given in ({"name": "profile", "valueUri": "urn:a"}, {"name": "mode", "valueCode": "profile"}, {"name": "other", "resource": GOOD}):
        assert api("POST", "/fhir/Patient/$validate", _parameters(given, {"name": "resource", "resource": GOOD})).status_code == 400
    assert api("POST", "/fhir/Patient/$validate").status_code == 400
    assert api("POST", "/fhir/Patient/nobody/$validate?mode=delete").status_code == 404
    assert api("GET", "/fhir/Patient/$validate").status_code in (404, 405)


@pytest.mark.conformance("Attacks", "57: it needs the right and tells nothing of what is hidden")
@pytest.mark.conformance("Attacks", "28: it needs the right and tells nothing of what is hidden")
@pytest.mark.conformance("FHIR R4: operations", "$validate: needs the right to create, update or delete, and tells nothing of what is hidden")
def test_it_needs_the_right_and_tells_nothing_of_what_is_hidden(api: Api) -> None:
    for role in ("billing-administrator", "researcher", "auditor"):
        assert api("POST", "/fhir/Patient/$validate", GOOD, role=role).status_code == 403
    note = {"resourceType": "Observation", "id": "n1", "status": "final", "code": {"text": "x"}}
    api("PUT", "/fhir/Observation/n1", {**note, "meta": {"security": [PSY]}})
    for path in ("Observation/n1/$validate", "Observation/n2/$validate"):
        body = {**note, "id": path.split("/")[1]}
        hidden, put = api("POST", f"/fhir/{path}", body, role="clinician"), api("PUT", f"/fhir/{path.removesuffix('/$validate')}", body, role="clinician")
        assert (hidden.status_code, hidden.data) == (put.status_code, put.data) == (405, put.data)
        assert api("POST", f"/fhir/{path}?mode=delete", role="clinician").status_code == 403
    assert _issues(api("POST", "/fhir/Observation/n1/$validate", note, role="psychiatric-clinician"))[0][0] == "information"
    secret = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "meta": {"security": [PSY]}}
    tried, made = (api("POST", f"/fhir/Observation{tail}", secret, role="clinician") for tail in ("/$validate", ""))
    assert (tried.status_code == 200) == (made.status_code == 201)
