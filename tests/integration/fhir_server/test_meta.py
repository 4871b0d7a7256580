"""$meta, $meta-add and $meta-delete: literal Parameters in and out, and the labels that nobody takes away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from fhir_server.store import Store
from tests.integration.fhir_server.test_http import Api

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PSY = {"system": ACT, "code": "PSY"}
RESTRICTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
RED, BLUE = {"system": "urn:tags", "code": "red"}, {"system": "urn:tags", "code": "blue", "display": "Blue"}
WEIGHT = b'{"resourceType":"Observation","id":"w1","status":"final","code":{"text":"Weight"},"valueQuantity":{"value":72.50}}'


@pytest.fixture
def api(store: Store) -> Api:
    """The API on one database, with one Observation and one labelled one."""
    api = Api(store)
    assert api("PUT", "/fhir/Observation/w1", WEIGHT).status_code == 201
    secret = {**json.loads(WEIGHT), "id": "s1", "meta": {"tag": [{"system": "urn:tags", "code": "secret"}], "profile": ["urn:secret"], "security": [PSY, RESTRICTED]}}
    assert api("PUT", "/fhir/Observation/s1", secret).status_code == 201
    return api


def _given(**meta: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def _meta(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.data
    said = json.loads(answer.data)
    assert (said["resourceType"], [each["name"] for each in said["parameter"]]) == ("Parameters", ["return"])
    meta: dict[str, Any] = said["parameter"][0]["valueMeta"]
    meta.pop("lastUpdated", None)
    return meta


@pytest.mark.conformance("FHIR R4: operations", "$meta-add and $meta-delete: tags, profiles and labels of an instance; what changes nothing makes no version")
def test_tags_profiles_and_labels_come_and_go(api: Api) -> None:
    path = "/fhir/Observation/w1"
    assert _meta(api("GET", f"{path}/$meta")) == {"versionId": "1"}
    added = {"versionId": "2", "profile": ["urn:a"], "tag": [RED, BLUE], "security": [RESTRICTED]}
    answer = api("POST", f"{path}/$meta-add", _given(tag=[RED, BLUE], profile=["urn:a"], security=[RESTRICTED]))
    assert (_meta(answer), answer.headers["ETag"]) == (added, 'W/"2"')
    assert _meta(api("POST", f"{path}/$meta-add", _given(tag=[{**BLUE, "display": "Azure"}], profile=["urn:a"]))) == added
    assert _meta(api("GET", f"{path}/$meta")) == _meta(api("POST", f"{path}/$meta")) == added
    read = api("GET", path)
    assert b'"value":72.50' in read.data
    assert json.loads(read.data)["meta"]["tag"] == [RED, BLUE]
    assert len(json.loads(api("GET", "/fhir/Observation?_tag=urn:tags|red").data)["entry"]) == 1
    assert _meta(api("POST", f"{path}/$meta-delete", _given(tag=[RED, {"system": "urn:tags", "code": "green"}]))) == {**added, "versionId": "3", "tag": [BLUE]}
    assert _meta(api("POST", f"{path}/$meta-delete", _given(tag=[RED])))["versionId"] == "3"
    assert _meta(api("POST", f"{path}/$meta-delete", _given(tag=[BLUE], profile=["urn:a"], security=[RESTRICTED]))) == {"versionId": "4"}
    assert "entry" not in json.loads(api("GET", "/fhir/Observation?_tag=urn:tags|red").data)
    assert api("POST", f"{path}/$meta-add", _given(tag=[RED]), If_Match='W/"3"').status_code == 412


@pytest.mark.conformance("Attacks", "45: a sensitivity label is added and never taken away")
@pytest.mark.conformance("FHIR R4: operations", "$meta-add adds sensitivity labels to the label tables; no client takes one away")
def test_a_sensitivity_label_is_added_and_never_taken_away(api: Api) -> None:
    path = "/fhir/Observation/w1"
    added = _meta(api("POST", f"{path}/$meta-add", _given(security=[PSY]), role="psychiatric-clinician"))
    assert added == {"versionId": "2", "security": [PSY]}
    assert _meta(api("POST", f"{path}/$meta-add", _given(security=[PSY]), role="psychiatric-clinician")) == added
    assert b"PSY" not in api("GET", path, role="psychiatric-clinician").data
    for role in ("clinician", "operator", "billing-administrator"):
        assert api("GET", path, role=role).status_code in (403, 404)
    for role in ("psychiatric-clinician", "operator"):
        assert api("POST", f"{path}/$meta-delete", _given(security=[PSY]), role=role).status_code == 403
    assert _meta(api("GET", f"{path}/$meta", role="psychiatric-clinician")) == added


@pytest.mark.conformance("Attacks", "48: who can no longer look gets no meta")
def test_who_can_no_longer_look_gets_no_meta(api: Api) -> None:
    answer = api("POST", "/fhir/Observation/w1/$meta-add", _given(security=[PSY]))
    assert (answer.status_code, answer.data) == (200, b"")
    assert api("GET", "/fhir/Observation/w1").status_code == 404


@pytest.mark.conformance("FHIR R4: operations", "$meta of a type and of the system lists what is in use on resources that the reader sees")
def test_a_summary_holds_what_the_reader_sees(api: Api) -> None:
    api("POST", "/fhir/Observation/w1/$meta-add", _given(tag=[RED, BLUE], profile=["urn:a"]))
    api("PUT", "/fhir/Patient/p1", {"resourceType": "Patient", "id": "p1", "meta": {"tag": [RED, {"code": "bare"}]}})
    api("PUT", "/fhir/Patient/gone", {"resourceType": "Patient", "id": "gone", "meta": {"tag": [{"code": "gone"}]}})
    api("DELETE", "/fhir/Patient/gone")
    assert _meta(api("GET", "/fhir/Observation/$meta")) == {"profile": ["urn:a"], "tag": [BLUE, RED]}
    assert _meta(api("GET", "/fhir/Patient/$meta")) == {"tag": [RED, {"code": "bare"}]}
    assert _meta(api("GET", "/fhir/$meta", role="clinician")) == {"profile": ["urn:a"], "tag": [BLUE, RED, {"code": "bare"}]}
    assert _meta(api("GET", "/fhir/Group/$meta")) == {}
    seen = _meta(api("GET", "/fhir/Observation/$meta", role="psychiatric-clinician"))
    assert seen == {"profile": ["urn:a", "urn:secret"], "security": [RESTRICTED], "tag": [BLUE, RED, {"system": "urn:tags", "code": "secret"}]}
    assert _meta(api("GET", "/fhir/Patient/$meta", role="billing-administrator")) == {}
    assert api("GET", "/fhir/Observation/$meta", role="billing-administrator").status_code == 403


@pytest.mark.conformance("FHIR R4: operations", "$meta: hidden resources and hidden elements stay hidden")
def test_what_is_hidden_is_not_found_and_a_part_is_not_changed(api: Api) -> None:
    api("PUT", "/fhir/Patient/p1", {"resourceType": "Patient", "id": "p1", "meta": {"tag": [RED]}})
    for name in ("$meta", "$meta-add", "$meta-delete"):
        body = None if name == "$meta" else _given(tag=[RED])
        hidden, missing = (api("POST", f"/fhir/Observation/{id_}/{name}", body, role="clinician") for id_ in ("s1", "nobody"))
        assert (hidden.status_code, hidden.data) == (404, missing.data)
    assert "red" not in json.dumps(_meta(api("GET", "/fhir/Patient/p1/$meta", role="billing-administrator")))
    assert api("POST", "/fhir/Patient/p1/$meta-add", _given(tag=[BLUE]), role="billing-administrator").status_code == 403
    assert api("POST", "/fhir/Patient/p1/$meta-add", _given(tag=[BLUE]), role="clinician").status_code == 403
    assert _meta(api("GET", "/fhir/Observation/s1/$meta", role="psychiatric-clinician"))["security"] == [RESTRICTED, PSY]


def test_what_cannot_be_read_is_refused(api: Api) -> None:
    path = "/fhir/Observation/w1"
    assert api("POST", f"{path}/$meta-add", {"resourceType": "Parameters"}).status_code == 400
    assert api("POST", f"{path}/$meta-add").status_code == 400
    assert api("POST", f"{path}/$meta-add", {"resourceType": "Patient"}).status_code == 400
    assert api("POST", f"{path}/$meta-add", _given(tag=[{"code": 1}])).status_code == 422
    assert api("POST", f"{path}/$meta-add", _given(tag=[{"code": "SUBSETTED"}])).status_code == 422
    assert api("GET", f"{path}/$meta?x=y").status_code == 400
    assert api("GET", f"{path}/$meta-add").status_code in (404, 405)
    api("DELETE", path)
    assert [api("GET", f"{path}/$meta").status_code, api("POST", f"{path}/$meta-add", _given(tag=[RED])).status_code] == [410, 410]


def test_the_capability_statement_names_them(api: Api) -> None:
    rest = json.loads(api("GET", "/fhir/metadata").data)["rest"][0]
    base = "http://hl7.org/fhir/OperationDefinition/Resource-"
    assert {"name": "meta", "definition": f"{base}meta"} in rest["operation"]
    (said,) = [each["operation"] for each in rest["resource"] if each["type"] == "Observation"]
    assert said[:4] == [{"name": name, "definition": base + name} for name in ("validate", "meta", "meta-add", "meta-delete")]
