"""_summary, _elements and _pretty: literal resources in, the part that was asked for out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.spec.generate_summary import compress, summary_facts
from fhir_server.spec.package import read_package
from fhir_server.store import Store
from tests.integration.fhir_server.test_hidden import COMMON
from tests.integration.fhir_server.test_http import Api

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
RED = {"system": "urn:tags", "code": "red"}
TEXT = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Weight</div>'}
WEIGHT = {
    "resourceType": "Observation", "id": "w1", "meta": {"tag": [RED]}, "text": TEXT, "extension": [{"url": "urn:x", "valueBoolean": True}],
    "status": "final", "code": {"text": "Weight"}, "subject": {"reference": "Patient/p1"}, "note": [{"text": "After lunch"}],
    "valueSampledData": {"origin": {"value": 72.5}, "period": 1, "dimensions": 1, "data": "1 2 3"},
    "component": [{"code": {"text": "Left"}, "valueInteger": 1, "interpretation": [{"text": "high"}]}],
}  # fmt: skip
IDENTITY = {"resourceType", "id", "meta"}


@pytest.fixture
def api(store: Store) -> Api:
    """The API on one database."""
    api = Api(store)
    for resource in (*COMMON, WEIGHT):
        assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201
    return api


def _read(api: Api, path: str, role: str = "operator") -> dict[str, Any]:
    answer = api("GET", f"/fhir/{path}", role=role)
    assert answer.status_code == 200, answer.data
    said: dict[str, Any] = json.loads(answer.data)
    return said


EXPECTED = {
    "_summary=true": {"status", "code", "subject", "valueSampledData", "component"},
    "_summary=text": {"text", "status", "code"},
    "_summary=data": {"extension", "status", "code", "subject", "note", "valueSampledData", "component"},
    "_elements=note": {"status", "code", "note"},
    "_elements=note,value": {"status", "code", "note", "valueSampledData"},
    "_elements=subject&_elements=valueSampledData": {"status", "code", "subject", "valueSampledData"},
}


@pytest.mark.conformance("FHIR R4: search", "_summary=true, text, data and _elements: on read, vread and search, marked SUBSETTED, with mandatory elements")
@pytest.mark.parametrize("query", EXPECTED)
def test_the_part_that_was_asked_for_is_marked(api: Api, query: str) -> None:
    read = _read(api, f"Observation/w1?{query}")
    assert set(read) == IDENTITY | EXPECTED[query]
    assert read["meta"]["tag"] == [RED, SUBSETTED]
    assert _read(api, f"Observation/w1/_history/1?{query}") == read
    bundle = _read(api, f"Observation?{query}")
    assert [entry["resource"] for entry in bundle["entry"]] == [read]
    assert query.replace(",", "%2C") in bundle["link"][0]["url"]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": f"Observation/w1?{query}"}}]}
    assert json.loads(api("POST", "/fhir", batch).data)["entry"][0]["resource"] == read


def test_a_summary_leaves_out_what_is_none_below_the_top_too(api: Api) -> None:
    read = _read(api, "Observation/w1?_summary=true")
    assert read["valueSampledData"] == {"origin": {"value": 72.5}, "period": 1, "dimensions": 1}
    assert read["component"] == [{"code": {"text": "Left"}, "valueInteger": 1}]
    assert "data" not in json.dumps(_read(api, "DocumentReference/plain?_summary=true")["content"])


def test_false_and_count_leave_resources_as_they_are(api: Api) -> None:
    assert api("GET", "/fhir/Observation/w1?_summary=false").data == api("GET", "/fhir/Observation/w1").data
    counted = _read(api, "Observation?_summary=count")
    assert (counted["total"], "entry" in counted) == (1, False)


@pytest.mark.conformance("FHIR R4: search", "_elements is for matches, _summary for what they include too")
def test_elements_are_for_matches_alone(api: Api) -> None:
    match, patient = (entry["resource"] for entry in _read(api, "Observation?_include=Observation:patient&_elements=status")["entry"])
    assert (set(match), "name" in patient, "tag" in patient["meta"]) == (IDENTITY | {"status", "code"}, True, False)
    _, patient = (entry["resource"] for entry in _read(api, "Observation?_include=Observation:patient&_summary=text")["entry"])
    assert set(patient) == IDENTITY


@pytest.mark.conformance("Attacks", "17: masks hold below it")
@pytest.mark.conformance("FHIR R4: search", "_summary and _elements show nothing that a mask hides")
@pytest.mark.parametrize("query", ["_summary=true", "_summary=text", "_summary=data", "_elements=content,subject,description", "_elements=type"])
def test_masks_hold_below_it(api: Api, query: str) -> None:
    masked = _read(api, "DocumentReference/plain", role="billing-administrator")
    part = _read(api, f"DocumentReference/plain?{query}", role="billing-administrator")
    assert set(part) <= set(masked)
    assert json.dumps(part["meta"]) == json.dumps(masked["meta"])
    assert all(masked[name] == value or query == "_summary=true" for name, value in part.items())
    assert "Q291Z2gu" not in json.dumps(part)
    found = _read(api, f"DocumentReference?_id=plain&{query}", role="billing-administrator")["entry"]
    assert [entry["resource"] for entry in found] == [part]


@pytest.mark.conformance("Attacks", "31: a part is not stored over the whole")
@pytest.mark.conformance("FHIR R4: interactions", "a part has an ETag of its own, and storing it is refused")
def test_a_part_is_not_stored_over_the_whole(api: Api) -> None:
    part = api("GET", "/fhir/Observation/w1?_elements=note")
    assert part.headers["ETag"] != 'W/"1"'
    assert api("GET", "/fhir/Observation/w1?_elements=note", If_None_Match=part.headers["ETag"]).status_code == 304
    assert api("PUT", "/fhir/Observation/w1", part.data).status_code == 422
    assert api("PUT", "/fhir/Observation/w1", {**WEIGHT, "status": "amended"}, If_Match=part.headers["ETag"]).status_code == 412


def test_what_cannot_be_read_is_refused(api: Api) -> None:
    for query in ("_summary=some", "_summary=", "_elements=nothing", "_elements=", "_elements=note,nothing", "_summary=true&_elements=note"):
        for path in ("Observation/w1", "Observation/w1/_history/1", "Observation"):
            answer = api("GET", f"/fhir/{path}?{query}")
            assert (answer.status_code, json.loads(answer.data)["resourceType"]) == (400, "OperationOutcome"), (path, query)
    assert api("GET", "/fhir/Observation/w1?_summary=count").status_code == 400


@pytest.mark.conformance("FHIR R4: interactions", "_pretty=true lays a body out, every token as it was stored")
def test_pretty_bodies_say_the_same(api: Api) -> None:
    api("PUT", "/fhir/Observation/w2", b'{"resourceType":"Observation","id":"w2","status":"final","code":{"text":"x"},"valueQuantity":{"value":72.50}}')
    for path in ("Observation/w2", "Observation?_id=w2", "Observation/nobody", "Patient/p1/$everything"):
        plain, pretty = (api("GET", f"/fhir/{path}{'&' if '?' in path else '?'}_pretty={said}") for said in ("false", "true"))
        assert json.loads(pretty.data) == json.loads(plain.data)
        assert (pretty.status_code, b"\n" in plain.data, pretty.data.startswith(b'{\n  "resourceType": ')) == (plain.status_code, False, True)
    assert b'"value": 72.50' in api("GET", "/fhir/Observation/w2?_pretty=true").data


@pytest.mark.corpus
def test_the_summary_elements_are_those_of_the_package(corpus: Path) -> None:
    from importlib import resources

    assert compress(summary_facts(read_package(corpus / "fhir" / "r4-core-4.0.1.tar.xz"))) == resources.files("fhir_server.spec").joinpath("summary.zst").read_bytes()
