"""SearchParameter resources: what they define is indexed at once, searched when all is indexed, and gone at once."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fhir_server.reindexing.worker import Reindexing
from fhir_server.store import Store
from tests.integration.fhir_server.test_http import Api

RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
AREA = "Custom SearchParameters"


def parameter(id_: str, expression: str, *, code: str = "", kind: str = "token", base: str = "Patient", **more: Any) -> dict[str, Any]:
    """A SearchParameter as an operator writes it."""
    return {
        "resourceType": "SearchParameter", "id": id_, "url": f"http://example.org/{id_}", "name": "X", "status": "active", "description": "x",
        "code": code or id_, "base": [base], "type": kind, "expression": expression, **more,
    }  # fmt: skip


def of_race(id_: str, code: str) -> dict[str, Any]:
    """A Patient with a US Core race."""
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code}
    race = {"url": RACE, "extension": [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": code}]}
    return {"resourceType": "Patient", "id": id_, "extension": [race]}


RACE_PARAMETER = parameter("race", f"Patient.extension.where(url = '{RACE}').extension.value.code")


def found(api: Api, query: str, role: str = "operator") -> list[str]:
    """Ids that a search finds."""
    answer = api("GET", f"/fhir/{query}", role=role)
    assert answer.status_code == 200, answer.data
    return sorted(entry["resource"]["id"] for entry in json.loads(answer.data).get("entry", ()))


def issue(answer: Any) -> tuple[int, str, str, str]:
    """Status, code, place and words of a refusal."""
    [said] = json.loads(answer.data)["issue"]
    return answer.status_code, said["code"], said.get("expression", [""])[0], said["diagnostics"]


@pytest.fixture
def api(store: Store) -> Api:
    return Api(store)


@pytest.mark.conformance(AREA, "an active SearchParameter is answered with 400 while what is stored is indexed, and searched after that")
def test_a_parameter_is_searched_when_what_was_stored_before_is_indexed(api: Api, store: Store) -> None:
    for resource in (of_race("p1", "2106-3"), of_race("p2", "2054-5"), {"resourceType": "Patient", "id": "p3"}):
        assert api("PUT", f"/fhir/Patient/{resource['id']}", resource).status_code == 201
    assert api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER).status_code == 201
    status, code, place, words = issue(api("GET", "/fhir/Patient?race=2106-3"))
    assert (status, code, place) == (400, "not-supported", "http.race")
    assert "is being indexed" in words
    assert api("GET", "/fhir/Patient?race=2106-3", Prefer="handling=lenient").status_code == 400
    assert api("PUT", "/fhir/Patient/p4", of_race("p4", "2106-3")).status_code == 201
    Reindexing(store).finish()
    assert found(api, "Patient?race=2106-3") == ["p1", "p4"]
    assert found(api, "Patient?race:missing=true") == ["p3"]
    assert found(api, "Patient?race:not=2106-3") == ["p2", "p3"]
    assert api("PUT", "/fhir/Patient/p1", of_race("p1", "2054-5")).status_code == 200
    assert api("DELETE", "/fhir/Patient/p2").status_code == 204
    assert (found(api, "Patient?race=2106-3"), found(api, "Patient?race=2054-5")) == (["p4"], ["p1"])


@pytest.mark.conformance(AREA, "a deactivated or deleted SearchParameter is refused at once, and its index rows are removed")
def test_a_parameter_that_is_no_more_is_refused_at_once_and_leaves_no_rows(api: Api, store: Store) -> None:
    api("PUT", "/fhir/Patient/p1", of_race("p1", "2106-3"))
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
    Reindexing(store).finish()
    for number, change in enumerate((lambda: api("PUT", "/fhir/SearchParameter/race", {**RACE_PARAMETER, "status": "retired"}), lambda: api("DELETE", "/fhir/SearchParameter/race"))):
        assert found(api, "Patient?race=2106-3") == ["p1"]
        assert change().status_code in (200, 204)
        status, code, place, _ = issue(api("GET", "/fhir/Patient?race=2106-3"))
        assert (status, code, place) == (400, "not-supported", "http.race")
        Reindexing(store).finish()
        assert store.db.one("SELECT count(*) FROM idx_token WHERE param > 10000") == (0,)
        assert store.db.one("SELECT count(*), max(number) FROM search_parameter WHERE state = 4") == (number + 1, 10_001 + number)
        api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
        Reindexing(store).finish()
    assert found(api, "Patient?race=2106-3") == ["p1"]


@pytest.mark.conformance(AREA, "another expression is another parameter: it is searched when all is indexed anew")
def test_another_expression_is_indexed_anew(api: Api, store: Store) -> None:
    api("PUT", "/fhir/Patient/p1", {"resourceType": "Patient", "id": "p1", "name": [{"family": "Smith", "given": ["Ann"]}]})
    api("PUT", "/fhir/SearchParameter/called", parameter("called", "Patient.name.given", kind="string"))
    Reindexing(store).finish()
    assert (found(api, "Patient?called=ann"), found(api, "Patient?called=smith")) == (["p1"], [])
    api("PUT", "/fhir/SearchParameter/called", parameter("called", "Patient.name.given", kind="string", purpose="Say why."))
    assert found(api, "Patient?called=ann") == ["p1"]
    api("PUT", "/fhir/SearchParameter/called", parameter("called", "Patient.name.family", kind="string"))
    assert issue(api("GET", "/fhir/Patient?called=smith"))[3].endswith("is being indexed; try again later.")
    Reindexing(store).finish()
    assert (found(api, "Patient?called=ann"), found(api, "Patient?called=smith")) == ([], ["p1"])


@pytest.mark.conformance(AREA, "all SearchParameters of US Core 6.1.0 are accepted: those that repeat R4 change nothing, the others are indexed and searched")
@pytest.mark.corpus
def test_every_parameter_of_us_core_loads(api: Api, store: Store, corpus: Path) -> None:
    with tarfile.open(corpus / "fhir" / "us-core-610.tar.xz") as package:
        members = [member for member in package if "SearchParameter-" in member.name]
        resources = [json.load(file) for member in members if (file := package.extractfile(member))]
    assert len(resources) > 100
    for resource in resources:
        slim = {key: value for key, value in resource.items() if key not in ("text", "extension")}
        answer = api("PUT", f"/fhir/SearchParameter/{resource['id']}", slim)
        assert answer.status_code == 201, (resource["id"], answer.data)
    with store.db.read() as session:
        defined = {row[0] for row in session.all("SELECT code FROM search_parameter")}
    assert defined == {"asserted-date", "description", "discharge-disposition", "ethnicity", "gender-identity", "race", "role"}
    asserted = {"url": "http://hl7.org/fhir/StructureDefinition/condition-assertedDate", "valueDateTime": "2026-01-02"}
    condition = {"resourceType": "Condition", "id": "c1", "extension": [asserted], "subject": {"reference": "Patient/p1"}}
    assert api("PUT", "/fhir/Condition/c1", condition).status_code == 201
    assert api("PUT", "/fhir/Patient/p1", of_race("p1", "2106-3")).status_code == 201
    Reindexing(store).finish()
    assert found(api, "Condition?asserted-date=ge2026&_sort=-asserted-date") == ["c1"]
    assert found(api, "Condition?patient.race=2106-3") == ["c1"]
    assert found(api, "Patient?_has:Condition:patient:asserted-date=2026-01-02") == ["p1"]
    assert found(api, "Condition?clinical-status:missing=true") == ["c1"]


@pytest.mark.conformance(AREA, "a reference parameter is chained, followed by _include, and says its targets")
def test_a_reference_parameter_is_chained_and_included(api: Api, store: Store) -> None:
    api("PUT", "/fhir/Practitioner/d1", {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Who"}]})
    godfather = {"url": "http://example.org/godfather", "valueReference": {"reference": "Practitioner/d1"}}
    api("PUT", "/fhir/Patient/p1", {"resourceType": "Patient", "id": "p1", "extension": [godfather]})
    body = parameter("godfather", "Patient.extension('http://example.org/godfather').value.ofType(Reference)", kind="reference", target=["Practitioner"])
    assert api("PUT", "/fhir/SearchParameter/godfather", body).status_code == 201
    Reindexing(store).finish()
    assert found(api, "Patient?godfather=Practitioner/d1") == ["p1"]
    assert found(api, "Patient?godfather.name=who") == ["p1"]
    assert found(api, "Practitioner?_has:Patient:godfather:_id=p1") == ["d1"]
    assert found(api, "Patient?_include=Patient:godfather") == ["d1", "p1"]
    assert found(api, "Practitioner?_revinclude=Patient:godfather") == ["d1", "p1"]


@pytest.mark.conformance(AREA, "what cannot be indexed is refused with 422 and its position")
@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({"expression": "Patient.name.given.join(',')"}, "expression", "Character 19: \".join(',')\""),
        ({"expression": "Patient.name.nick"}, "expression", "'nick' leads nowhere"),
        ({"expression": "Patient.photo"}, "expression", "Nothing that this finds in Patient can be indexed as token"),
        ({"expression": "Patient.gender | Patient.name[0].given"}, "expression", "Character 18"),
        ({"expression": "Patient.extension.value.extension.value.extension.value"}, "expression", "more than 500 paths"),
        ({"expression": "Patient.name.where(given = 'x').family"}, "expression", "where(given) leads nowhere"),
        ({"expression": None}, "expression", "needs an expression"),
        ({"type": "composite"}, "type", "composite are not supported"),
        ({"code": "gender", "expression": "Patient.birthDate", "type": "date"}, "code", "R4 defines gender of Patient otherwise"),
        ({"code": "_id", "expression": "Patient.gender"}, "code", "R4 defines _id of Patient otherwise"),
        ({"code": "a:b"}, "code", "A code is a letter"),
    ],
)
def test_what_cannot_be_indexed_is_refused_with_its_position(api: Api, change: dict[str, Any], place: str, words: str) -> None:
    body = {key: value for key, value in {**parameter("x", "Patient.gender"), **change}.items() if value is not None}
    status, _, where, said = issue(api("PUT", "/fhir/SearchParameter/x", body))
    assert (status, where) == (422, f"SearchParameter.{place}")
    assert words in said
    assert api("PUT", "/fhir/SearchParameter/x", {**body, "status": "draft"}).status_code == 201


@pytest.mark.conformance(AREA, "two SearchParameters cannot define the same code of a type")
def test_a_code_is_defined_once(api: Api) -> None:
    assert api("PUT", "/fhir/SearchParameter/a", parameter("a", "Patient.gender", code="sex")).status_code == 201
    assert issue(api("PUT", "/fhir/SearchParameter/b", parameter("b", "Patient.gender", code="sex")))[:3] == (422, "duplicate", "SearchParameter.code")
    entries = [{"resource": parameter(id_, "Person.gender", code="sex", base="Person"), "request": {"method": "PUT", "url": f"SearchParameter/{id_}"}} for id_ in "cd"]
    assert api("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status_code == 409
    assert api("GET", "/fhir/SearchParameter/c").status_code == 404


@pytest.mark.conformance(AREA, "who may not define parameters gets 403, and it is audited")
@pytest.mark.parametrize("role", ["clinician", "billing-administrator", "coder", "integration-engine"])
def test_others_are_refused(api: Api, role: str) -> None:
    assert api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER, role=role).status_code == 403
    assert api("POST", "/fhir/SearchParameter", RACE_PARAMETER, role=role).status_code == 403
    assert api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER).status_code == 201
    assert api("DELETE", "/fhir/SearchParameter/race", role=role).status_code == 403


@pytest.mark.conformance(AREA, "the CapabilityStatement lists a parameter from when it is searched to when it is not")
def test_the_capability_statement_follows(api: Api, store: Store) -> None:
    def listed() -> list[dict[str, str]]:
        statement = json.loads(api("GET", "/fhir/metadata", role="").data)
        [patient] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Patient"]
        return [each for each in patient["searchParam"] if each["name"] == "race"]

    assert listed() == []
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
    assert listed() == []
    Reindexing(store).finish()
    assert listed() == [{"name": "race", "definition": "http://example.org/race", "type": "token"}]
    api("DELETE", "/fhir/SearchParameter/race")
    assert listed() == []


@pytest.mark.conformance(AREA, "who sees a part of the elements may not search by what is hidden, an extension below a shown element included")
def test_a_parameter_on_hidden_elements_is_refused(api: Api, store: Store) -> None:
    name = {"family": "Smith", "extension": [{"url": "urn:secret", "valueString": "Alias"}]}
    api("PUT", "/fhir/Patient/p1", {**of_race("p1", "2106-3"), "name": [name]})
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
    api("PUT", "/fhir/SearchParameter/alias", parameter("alias", "Patient.name.extension('urn:secret').value.ofType(string)", kind="string"))
    api("PUT", "/fhir/SearchParameter/family-name", parameter("family-name", "Patient.name.family", kind="string"))
    Reindexing(store).finish()
    for query in ("Patient?alias=alias", "Patient?race=2106-3", "Patient?_sort=alias", "Patient?race:missing=true", "Encounter?patient.alias=alias"):
        assert api("GET", f"/fhir/{query}").status_code == 200, query
        assert issue(api("GET", f"/fhir/{query}", role="billing-administrator"))[:2] == (403, "forbidden"), query
    assert found(api, "Patient?family-name=smith", "billing-administrator") == ["p1"]


@pytest.mark.conformance(AREA, "hidden rows are not found by a parameter, nor counted")
def test_hidden_rows_are_not_found(api: Api, store: Store) -> None:
    api("PUT", "/fhir/SearchParameter/state", parameter("state", "Observation.status", base="Observation"))
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    psychiatric = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
    api("PUT", "/fhir/Observation/o1", {**body, "id": "o1"})
    api("PUT", "/fhir/Observation/o2", {**body, "id": "o2", "meta": {"security": [psychiatric]}})
    Reindexing(store).finish()
    for role, expected in (("clinician", ["o1"]), ("psychiatric-clinician", ["o1", "o2"])):
        assert found(api, "Observation?state=final", role) == expected
        assert json.loads(api("GET", "/fhir/Observation?state=final&_summary=count", role=role).data)["total"] == len(expected)
