"""Rows of the R4 specification that no other test shows: literal requests in, status, headers and bodies out."""

from __future__ import annotations

import json

import pytest

from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import *  # noqa: F403  the store and who asks
from tests.integration.fhir_server.test_http import PATIENT, Api, api  # noqa: F401  (a fixture)

AREA = "FHIR R4: interactions"
META = {
    "versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z", "source": "http://a.example/feed/1", "profile": ["http://a.example/p"],
    "tag": [{"system": "urn:tags", "code": "t1"}],
}  # fmt: skip


@pytest.mark.conformance(AREA, "vread of the version that is a deletion answers 410, of the one before it 200")
def test_the_version_that_is_a_deletion_is_gone(api: Api) -> None:  # noqa: F811
    api("PUT", "/fhir/Patient/p1", {**PATIENT, "id": "p1"})
    api("DELETE", "/fhir/Patient/p1")
    assert [api("GET", f"/fhir/Patient/p1/_history/{number}").status_code for number in (1, 2, 3)] == [200, 410, 404]


@pytest.mark.conformance(AREA, "delete of what is deleted already, or was never there, is answered alike and is no failure")
def test_what_is_deleted_or_never_was_is_deleted_again(api: Api) -> None:  # noqa: F811
    api("PUT", "/fhir/Patient/p1", {**PATIENT, "id": "p1"})
    assert [api("DELETE", "/fhir/Patient/p1").status_code for _ in range(2)] == [204, 204]
    assert api("DELETE", "/fhir/Patient/never").status_code in (204, 404)
    assert len(json.loads(api("GET", "/fhir/Patient/p1/_history").data)["entry"]) == 2


@pytest.mark.conformance(AREA, "create gives id, version and time itself, whatever the body says")
def test_a_create_gives_id_version_and_time_itself(api: Api) -> None:  # noqa: F811
    made = json.loads(api("POST", "/fhir/Patient", {**PATIENT, "id": "mine", "meta": META}).data)
    assert (made["id"] != "mine", made["meta"]["versionId"]) == (True, "1")
    assert made["meta"]["lastUpdated"] > "2020"
    assert made["meta"]["source"] == META["source"]


@pytest.mark.conformance("FHIR R4: search", "_tag, _profile and _source find what meta says, by all forms of token and uri")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("_tag=t1", 1), ("_tag=urn:tags|t1", 1), ("_tag=urn:tags|", 1), ("_tag=|t1", 0), ("_tag:not=t1", 1), ("_tag:missing=true", 1),
        ("_profile=http://a.example/p", 1), ("_profile=http://a.example/q", 0), ("_profile:below=http://a.example", 1),
        ("_source=http://a.example/feed/1", 1), ("_source=http://a.example/feed", 0), ("_source:below=http://a.example/feed", 1),
        ("_source:missing=true", 1),
    ],
)  # fmt: skip
def test_meta_is_searched(api: Api, query: str, found: int) -> None:  # noqa: F811
    api("POST", "/fhir/Patient", {**PATIENT, "meta": META})
    api("POST", "/fhir/Patient", PATIENT)
    assert json.loads(api("GET", f"/fhir/Patient?{query}&_summary=count").data)["total"] == found


@pytest.mark.conformance("FHIR R4: search", "_total=none gives no total, _total=estimate and accurate give one, and another value answers 400")
def test_a_total_is_given_when_it_is_asked_for(api: Api) -> None:  # noqa: F811
    for _ in range(3):
        api("POST", "/fhir/Patient", PATIENT)
    pages = {total: json.loads(api("GET", f"/fhir/Patient?_count=1&_total={total}").data) for total in ("none", "estimate", "accurate")}
    assert {total: page.get("total") for total, page in pages.items()} == {"none": None, "estimate": 3, "accurate": 3}
    assert api("GET", "/fhir/Patient?_total=perhaps").status_code == 400


@pytest.mark.conformance(AREA, "_summary=false answers the whole resource")
def test_a_summary_of_false_is_the_whole_resource(api: Api) -> None:  # noqa: F811
    api("PUT", "/fhir/Patient/p1", {**PATIENT, "id": "p1", "contact": [{"name": {"text": "A"}}]})
    assert api("GET", "/fhir/Patient/p1?_summary=false").data == api("GET", "/fhir/Patient/p1").data
    assert json.loads(api("GET", "/fhir/Patient?_summary=false").data)["entry"][0]["resource"]["contact"]


@pytest.mark.conformance(AREA, "a failure of the program answers 500 without its text")
def test_a_failure_of_the_program_is_500_without_its_text(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def broken(*_: object) -> None:
        raise RuntimeError("Smith, 1 January 1970")

    monkeypatch.setattr(Repository, "read", broken)
    answer = api("GET", "/fhir/Patient/p1")
    assert (answer.status_code, b"Smith" in answer.data) == (500, False)
    assert json.loads(answer.data)["issue"][0]["severity"] in ("error", "fatal")


@pytest.mark.conformance("FHIR R4: search", "_filter: ap of dates, numbers and quantities; in, ni, ss and sb ask the terminology")
def test_a_filter_finds_about_and_concepts(served: Api) -> None:
    def ids(text: str) -> list[str]:
        type_, _, query = text.partition("?")
        found = json.loads(served("GET", f"/fhir/{type_}?_filter={query.replace(' ', '%20')}").data)
        return sorted(entry["resource"]["id"] for entry in found.get("entry", ()))

    assert ids("RiskAssessment?probability ap 85") == ["r-most"]
    assert ids("Observation?date ap 2024-02-28") == ["o-height"]
    assert ids("Observation?value-quantity ap 75||kg") == ["o-weight"]
    assert ids("Observation?code in http://a.example/heights") == ["o-height"]
    assert ids("Observation?code ni http://a.example/heights") == ["o-text", "o-weight"]
    assert ids("Observation?status ss http://hl7.org/fhir/observation-status|amended") == ["o-weight"]
    assert ids("Observation?status sb http://hl7.org/fhir/observation-status|corrected") == ["o-weight"]
    assert served("GET", "/fhir/Observation?_filter=code%20ss%20http://loinc.org|1").status_code == 400  # LOINC's hierarchy is not known here
