"""Search on the system and in compartments, on both databases: literal resources in, literal ids out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Gone, Invalid, NotFound
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import BASE, fill, scope
from tests.integration.fhir_server.test_http import Api

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PSY = {"security": [{"system": ACT, "code": "PSY"}]}
TAG = {"tag": [{"system": "urn:tag", "code": "study"}]}


def _observation(id_: str, when: str | None, **more: Any) -> dict[str, Any]:
    dated = {"effectiveDateTime": when} if when else {}
    code = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, **dated, **more}


ANNA, BERT = {"reference": "Patient/anna"}, {"reference": "Patient/bert"}
RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "anna", "birthDate": "1980-05-01", "name": [{"family": "Smith"}], "meta": TAG},
    {"resourceType": "Patient", "id": "bert", "birthDate": "1990-01-01", "name": [{"family": "Jones"}], "link": [{"other": ANNA, "type": "seealso"}]},
    {"resourceType": "Practitioner", "id": "grey", "name": [{"family": "Grey"}], "meta": TAG},
    {"resourceType": "Device", "id": "scale"},
    {"resourceType": "RelatedPerson", "id": "aunt", "patient": ANNA},
    {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": ANNA, "period": {"start": "2026-01-02"}},
    _observation("w1", "2026-01-01", subject=ANNA, performer=[ANNA, {"reference": "Practitioner/grey"}], device={"reference": "Device/scale"}),
    _observation("w2", "2026-01-03", subject=ANNA, encounter={"reference": "Encounter/e1"}, meta=TAG),
    _observation("w3", None, subject=BERT, performer=[ANNA]),
    _observation("w4", "2026-01-04", subject=BERT, performer=[{"reference": "RelatedPerson/aunt"}]),
    _observation("mood", "2026-01-05", subject=ANNA, meta={**PSY, **TAG}),
    {"resourceType": "Condition", "id": "c1", "subject": ANNA, "asserter": {"reference": "Practitioner/grey"}, "onsetDateTime": "2025-01-01",
     "clinicalStatus": {"coding": [{"code": "active", "system": "http://terminology.hl7.org/CodeSystem/condition-clinical"}]}},
    {"resourceType": "Condition", "id": "c2", "subject": BERT, "recordedDate": "2024-01-01",
     "clinicalStatus": {"coding": [{"code": "active", "system": "http://terminology.hl7.org/CodeSystem/condition-clinical"}]}},
]  # fmt: skip


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """Two patients with their charts."""
    return fill(repository, operator, RESOURCES)


SYSTEM: list[tuple[str, str | int, str]] = [
    ("_id=anna,w1,nothing", "anna w1", "anna w1"),
    ("_tag=urn:tag|study", "anna grey w2", "anna grey mood w2"),
    ("_tag:not=study&_type=Patient,Practitioner", "bert", "bert"),
    ("_type=Observation,Condition&patient=anna", "c1 w1 w2", "c1 mood w1 w2"),
    ("_type=Observation&_type=Condition&patient=anna", "c1 w1 w2", "c1 mood w1 w2"),
    ("_type=Observation,Condition&patient.name=jones", "c2 w3 w4", "c2 w3 w4"),
    ("_type=Patient,Practitioner&name=g", "grey", "grey"),
    ("_type=Patient,Practitioner&_has:Observation:performer:status=final", "anna grey", "anna grey"),
    ("_type=Patient&_lastUpdated=gt2020", "anna bert", "anna bert"),
    ("_type=Patient,Device&_lastUpdated=lt2020", "", ""),
    ("_id=w1&_type=Patient", "", ""),
    ("_type=Observation,Device&_lastUpdated=gt2020&patient:missing=true", "scale", "scale"),
    ("patient=anna", 400, ""),
    ("_type=Patient,Observation&code=29463-7", 400, ""),
    ("_type=Colour", 400, ""),
    ("_type=AuditEvent", 400, ""),
    ("_type=", 400, ""),
    ("_type=Patient,Observation&_sort=date", 400, ""),
    ("colour=red", 400, ""),
]


@pytest.mark.conformance("FHIR R4: interactions", "search on the system: parameters of all types, or common to those that _type names")
@pytest.mark.conformance("Access", "a search on the system finds and counts what its reader may see of each type")
@pytest.mark.parametrize(("query", "seen", "all_of_it"), SYSTEM)
def test_a_search_on_the_system_finds_what_it_says(filled: Repository, query: str, seen: str | int, all_of_it: str) -> None:
    if seen == 400:
        with pytest.raises(Invalid):
            filled.search_system(scope("operator"), query)
        return
    for role, ids in (("operator", str(seen)), ("psychiatric-clinician", all_of_it)):
        page = filled.search_system(scope(role), f"{query}&_sort=_id&_total=accurate")
        assert (" ".join(entry.id for entry in page.entries), page.total) == (ids, len(ids.split())), role
        assert filled.search_system(scope(role), f"{query}&_summary=count").total == page.total


COMPARTMENT: list[tuple[str, str | int, str]] = [
    ("Patient/anna/Observation?", "w1 w2 w3", "mood w1 w2 w3"),
    ("Patient/anna/Observation?code=29463-7&date=ge2026-01-02", "w2", "mood w2"),
    ("Patient/anna/Observation?_has:Provenance:target:recorded=2026", "", ""),
    ("Patient/bert/Observation?performer:RelatedPerson.patient=anna", "w4", "w4"),
    ("Patient/anna/Observation?performer:Practitioner.name=grey", "w1", "w1"),
    ("Patient/anna/*?", "aunt bert c1 e1 w1 w2 w3", "aunt bert c1 e1 mood w1 w2 w3"),
    ("Patient/anna/*?_type=Condition,Observation", "c1 w1 w2 w3", "c1 mood w1 w2 w3"),
    ("Patient/anna/*?_type=Condition,Observation&_lastUpdated=gt2020&encounter=e1", "w2", "w2"),
    ("Patient/anna/Patient?", "bert", "bert"),
    ("Encounter/e1/*?", "e1 w2", "e1 w2"),
    ("Encounter/e1/Encounter?", "e1", "e1"),
    ("Practitioner/grey/*?", "c1 grey w1", "c1 grey w1"),
    ("RelatedPerson/aunt/*?", "aunt w4", "aunt w4"),
    ("Device/scale/*?", "w1", "w1"),
    ("Device/scale/Observation?_tag=study", "", ""),
    ("Patient/anna/Organization?", 400, ""),
    ("Patient/anna/*?_type=Organization", 400, ""),
    ("Patient/anna/Observation?_type=Observation", 400, ""),
    ("Patient/anna/*?code=1", 400, ""),
    ("Patient/anna/Observation?colour=red", 400, ""),
]


@pytest.mark.conformance("FHIR R4: interactions", "search in the compartments of Patient, Encounter, Practitioner, RelatedPerson and Device, on a type and on all")
@pytest.mark.conformance("Access", "a search in a compartment finds and counts what its reader may see")
@pytest.mark.parametrize(("query", "seen", "all_of_it"), COMPARTMENT)
def test_a_search_in_a_compartment_finds_what_it_says(filled: Repository, query: str, seen: str | int, all_of_it: str) -> None:
    address, _, rest = query.partition("?")
    about, id_, wanted = address.split("/")
    place = (about, id_, wanted)
    if seen == 400:
        with pytest.raises(Invalid):
            filled.search_compartment(scope("operator"), place, rest)
        return
    for role, ids in (("operator", str(seen)), ("psychiatric-clinician", all_of_it)):
        page = filled.search_compartment(scope(role), place, f"{rest}&_sort=_id&_total=accurate")
        assert (" ".join(entry.id for entry in page.entries), page.total) == (ids, len(ids.split())), role
        assert filled.search_compartment(scope(role), place, f"{rest}&_count=0").total == page.total


@pytest.mark.conformance("Attacks", "15: a compartment is refused as a read of what it is about is")
@pytest.mark.conformance("FHIR R4: interactions", "a compartment of what is not there answers 404, of what was deleted 410")
@pytest.mark.conformance("Access", "a compartment of what its reader may not see answers as one of what is not there")
def test_a_compartment_is_refused_as_a_read_of_what_it_is_about_is(filled: Repository, operator: Scope) -> None:
    filled.update(operator, "Patient", "cleo", {"resourceType": "Patient", "id": "cleo", "meta": PSY})
    filled.update(operator, "Patient", "dora", {"resourceType": "Patient", "id": "dora"})
    filled.delete(operator, "Patient", "dora")
    for id_, error in (("nobody", NotFound), ("cleo", NotFound), ("dora", Gone)):
        for wanted in ("Observation", "*"):
            with pytest.raises(error):
                filled.search_compartment(operator, ("Patient", id_, wanted), "")
    assert filled.search_compartment(scope("psychiatric-clinician"), ("Patient", "cleo", "*"), "").entries == ()
    with pytest.raises(Forbidden):
        filled.search_compartment(scope("omop-bridge-of-nobody"), ("Patient", "anna", "*"), "")


@pytest.mark.conformance("FHIR R4: search", "pages over several types and over a compartment, forwards and backwards: no doubles, nothing missed, nothing that came later")
@pytest.mark.parametrize("sort", ["", "&_sort=_id", "&_sort=-_id", "&_sort=_lastUpdated", "&_sort=-_lastUpdated,_id"])
def test_pages_over_several_types_follow_each_other(filled: Repository, operator: Scope, sort: str) -> None:
    places: list[tuple[str, str, str] | None] = [None, ("Patient", "anna", "*"), ("Patient", "anna", "Observation")]
    for number, place in enumerate(places):

        def search(query: str, place: tuple[str, str, str] | None = place) -> Any:
            return filled.search_system(operator, query) if place is None else filled.search_compartment(operator, place, query)

        everything = [entry.id for entry in search(f"_lastUpdated=gt2020{sort}").entries]
        back: list[str] = []
        assert len(set(everything)) == len(everything) > 2
        page = search(f"_lastUpdated=gt2020&_count=2{sort}")
        found = [entry.id for entry in page.entries]
        filled.update(operator, "Observation", f"later{number}", _observation(f"later{number}", "2026-01-02", subject=ANNA))
        while page.next is not None:
            page = search(page.next)
            assert len(page.entries) <= 2
            found += [entry.id for entry in page.entries]
        assert found == everything, place
        last = [entry.id for entry in page.entries]
        while page.previous is not None:
            page = search(page.previous)
            assert page.next is not None
            back = [entry.id for entry in page.entries] + back
        assert back + last == everything, place


@pytest.mark.conformance("FHIR R4: search", "_sort by a date that several types have")
def test_several_types_have_one_order(filled: Repository, operator: Scope) -> None:
    newest = [entry.id for entry in filled.search_system(operator, "_type=Observation,Encounter&_sort=-date").entries]
    oldest = [entry.id for entry in filled.search_system(operator, "_type=Observation,Encounter&_sort=date,_id").entries]
    assert (newest, oldest) == (["w4", "w2", "e1", "w1", "w3"], ["w1", "e1", "w2", "w4", "w3"])


@pytest.mark.conformance("FHIR R4: search", "an unknown parameter in lenient mode is ignored by every type of a search")
def test_what_one_type_does_not_know_is_ignored_by_all(filled: Repository, operator: Scope) -> None:
    page = filled.search_system(operator, "_type=Observation,Patient&code=nothing&_id=w1,anna", lenient=True)
    assert (sorted(entry.id for entry in page.entries), [issue.text for issue in page.warnings]) == (
        ["anna", "w1"], ["Parameter 'code' is not supported and was ignored."],
    )  # fmt: skip


@pytest.mark.conformance("Attacks", "08: a page link of a system or compartment search is refused to another user and another place")
def test_a_page_link_is_for_its_place_and_reader(filled: Repository, operator: Scope) -> None:
    link = filled.search_compartment(operator, ("Patient", "anna", "Observation"), "_count=1").next
    assert link is not None
    with pytest.raises(Forbidden):
        filled.search_compartment(scope("clinician"), ("Patient", "anna", "Observation"), link)
    for place in (("Patient", "bert", "Observation"), ("Patient", "anna", "*")):
        with pytest.raises(Invalid):
            filled.search_compartment(operator, place, link)
    with pytest.raises(Invalid):
        filled.search(operator, "Observation", link)


@pytest.mark.conformance("FHIR R4: interactions", "search on the system and in compartments by GET and by POST _search; links say where")
def test_a_search_on_the_system_and_in_a_compartment_over_http(store: Store) -> None:
    api = Api(store)
    for resource in RESOURCES[:7]:
        assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201

    def said(method: str, path: str, form: bytes | None = None) -> tuple[list[str], dict[str, str]]:
        answer = api(method, f"/fhir{path}", form, **({"Content_Type": "application/x-www-form-urlencoded"} if form is not None else {}))
        bundle = json.loads(answer.data)
        assert (answer.status_code, bundle["type"]) == (200, "searchset"), bundle
        return [entry["resource"]["id"] for entry in bundle.get("entry", ())], {each["relation"]: each["url"] for each in bundle["link"]}

    assert said("GET", "?_type=Patient&_sort=_id") == (["anna", "bert"], {"self": f"{BASE}?_sort=_id&_type=Patient"})
    assert said("GET", "/?_type=Patient&_sort=_id")[0] == ["anna", "bert"]
    assert said("POST", "/_search", b"_type=Patient&_sort=_id")[0] == ["anna", "bert"]
    ids, links = said("GET", "/Patient/anna/Observation?_count=1&status=final")
    assert (ids, links["self"]) == (["w1"], f"{BASE}/Patient/anna/Observation?_count=1&status=final")
    assert said("POST", "/Patient/anna/Observation/_search", b"status=final")[0] == ["w1"]
    assert sorted(said("GET", "/Patient/anna/*")[0]) == ["aunt", "bert", "e1", "w1"]
    for path in ("/Patient/anna/_search", "/Patient/anna/*/_search"):
        assert sorted(said("POST", path, b"_type=RelatedPerson,Encounter")[0]) == ["aunt", "e1"]
    ids, links = said("GET", "?_id=w1,anna,bert&_count=1")
    following, links = said("GET", links["next"].removeprefix(BASE))
    assert (len(following), list(links)) == (1, ["self", "first", "previous", "next"])
    assert said("GET", links["previous"].removeprefix(BASE))[0] == ids == said("GET", links["first"].removeprefix(BASE))[0]
    statuses = [api("GET", f"/fhir/{path}").status_code for path in ("Patient/anna/Colour", "Observation/w1/Patient", "Patient/nobody/*", "Patient/anna/Organization")]
    assert statuses == [405, 405, 404, 400]
    statement = json.loads(api("GET", "/fhir/metadata").data)["rest"][0]
    assert {"code": "search-system"} in statement["interaction"]
    assert "http://hl7.org/fhir/CompartmentDefinition/patient" in statement["compartment"]


@pytest.mark.conformance("Audit", "a search on the system and in a compartment is recorded with its targets and patients, a refused one too")
def test_every_search_is_recorded(filled: Repository, operator: Scope, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Any] = []
    monkeypatch.setattr(type(store.audit), "access", lambda _, *given: records.extend(given))
    filled.search_compartment(operator, ("Patient", "anna", "Condition"), "_count=5")
    filled.search_compartment(operator, ("Patient", "anna", "Procedure"), "")
    filled.search_system(operator, "_id=w2")
    with pytest.raises(NotFound):
        filled.search_compartment(operator, ("Patient", "nobody", "*"), "")
    with pytest.raises(Invalid):
        filled.search_system(operator, "colour=red")
    assert [(each.interaction, each.targets, each.patients, each.query, each.outcome) for each in records] == [
        ("search", ("Condition/c1/_history/1",), ("Patient/anna",), "Patient/anna/Condition?_count=5", "0"),
        ("search", ("Patient/anna/Procedure",), ("Patient/anna",), "Patient/anna/Procedure?", "0"),
        ("search", ("Observation/w2/_history/1",), ("Patient/anna",), "?_id=w2", "0"),
        ("search", ("Patient/nobody/*",), (), "", "4"),
        ("search", ("",), (), "colour=red", "4"),
    ]
