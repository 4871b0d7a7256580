"""Search on both databases: literal resources in, literal ids out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.clock import FakeClock, parse_iso
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import scope

PATIENTS = [
    {"resourceType": "Patient", "id": "anna", "gender": "female", "birthDate": "1980-05-01", "name": [{"family": "Weiß", "given": ["Anna"]}],
     "identifier": [{"system": "urn:mrn", "value": "1"}], "active": True},
    {"resourceType": "Patient", "id": "bert", "gender": "male", "birthDate": "1990", "name": [{"family": "Ångström"}],
     "identifier": [{"system": "urn:mrn", "value": "2"}, {"system": "urn:ssn", "value": "1"}]},
    {"resourceType": "Patient", "id": "cleo", "gender": "female", "name": [{"family": "Smith"}]},
]  # fmt: skip


def _weight(id_: str, patient: str, when: str, value: str) -> bytes:
    return (
        f'{{"resourceType":"Observation","id":"{id_}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7"}}]}},'
        f'"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"{when}",'
        f'"valueQuantity":{{"value":{value},"system":"http://unitsofmeasure.org","code":"kg"}}}}'
    ).encode()


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """A few patients and their weights."""
    for patient in PATIENTS:
        repository.update(operator, "Patient", str(patient["id"]), patient)
    weights = [("w1", "anna", "2025-01-01", "70.0"), ("w2", "anna", "2025-03-01T10:00:00Z", "71.5"), ("w3", "bert", "2025-02-01", "90"),
               ("w4", "anna", "2024-12-31", "69")]  # fmt: skip
    for id_, patient, when, value in weights:
        repository.update(operator, "Observation", id_, _weight(id_, patient, when, value))
    return repository


@pytest.mark.conformance("FHIR R4: search", "string parameters: folded prefix, :exact, :contains")
@pytest.mark.conformance("FHIR R4: search", "token parameters: code, system and code, system alone, no system, :not")
@pytest.mark.conformance("FHIR R4: search", "date parameters: precision of the value, and eq, ne, lt, gt, ge, le, sa, eb")
@pytest.mark.conformance("FHIR R4: search", "reference parameters: id, type and id, absolute address, :Type modifier")
@pytest.mark.conformance("FHIR R4: search", "quantity parameters: implied precision, eq, lt, gt, ge, with system and code or code alone")
@pytest.mark.conformance("FHIR R4: search", ":missing takes true and false")
@pytest.mark.conformance("FHIR R4: search", "_id takes several values")
@pytest.mark.conformance("FHIR R4: search", "_sort by string, date and _id, up and down; keys that cannot be sorted by answer 400")
@pytest.mark.conformance("FHIR R4: search", "a comma means or, a repeated parameter means and")
@pytest.mark.conformance("FHIR R4: search", "_total=accurate equals the number of matches, as does _summary=count")
@pytest.mark.conformance("FHIR R4: search", ":in and unknown values of _elements and _summary answer 400")
@pytest.mark.conformance("What must be real underneath", "FHIR: search with string, token, date, reference, quantity, _id, _sort and _total")
@pytest.mark.conformance("Attacks", "10: sorting by a hostile name such as __class__ is refused")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Patient?", "bert anna cleo"),
        ("Patient?gender=female", "anna cleo"),
        ("Patient?gender:not=female", "bert"),
        ("Patient?gender=female,male&active=true", "anna"),
        ("Patient?identifier=urn:mrn|1", "anna"),
        ("Patient?identifier=1", "bert anna"),
        ("Patient?identifier=urn:ssn|", "bert"),
        ("Patient?identifier=|1", ""),
        ("Patient?identifier:missing=true", "cleo"),
        ("Patient?identifier:missing=false", "bert anna"),
        ("Patient?family=weiss", "anna"),
        ("Patient?family=ANG", "bert"),
        ("Patient?family:exact=Smith", "cleo"),
        ("Patient?family:exact=smith", ""),
        ("Patient?family:contains=mit", "cleo"),
        ("Patient?name=ann", "anna"),
        ("Patient?birthdate=1980", "anna"),
        ("Patient?birthdate=ge1985", "bert"),
        ("Patient?birthdate=lt1985-01-01", "anna"),
        ("Patient?birthdate=ne1990", "anna"),
        ("Patient?_id=anna,cleo", "anna cleo"),
        ("Patient?_sort=family", "bert cleo anna"),
        ("Patient?_sort=-family", "anna cleo bert"),
        ("Patient?_sort=birthdate", "anna bert cleo"),
        ("Patient?_sort=-birthdate", "bert anna cleo"),
        ("Patient?_sort=_id", "anna bert cleo"),
        ("Patient?_sort=colour", 400),
        ("Observation?patient=Patient/anna", "w2 w1 w4"),
        ("Observation?patient=anna&code=29463-7&date=ge2025", "w2 w1"),
        ("Observation?subject:Patient=bert", "w3"),
        ("Observation?subject=http://127.0.0.1:8080/fhir/Patient/bert", "w3"),
        ("Observation?code=http://loinc.org|29463-7&_sort=date", "w4 w1 w3 w2"),
        ("Observation?value-quantity=gt70", "w2 w3"),
        ("Observation?value-quantity=70", "w1"),
        ("Observation?value-quantity=ge71.5|http://unitsofmeasure.org|kg", "w2 w3"),
        ("Observation?value-quantity=71.5||kg", "w2"),
        ("Observation?value-quantity=71.5||g", ""),
        ("Observation?value-quantity=lt70", "w4"),
        ("Observation?date=sa2025-01-31", "w2 w3"),
        ("Observation?date=eb2025-01-01", "w4"),
        ("Observation?date=2025-03-01", "w2"),
        ("Observation?date=le2025-01-01", "w1 w4"),
        ("Observation?patient=Patient/nobody", ""),
        ("Observation?foo=1", 400),
        ("Observation?code:in=http://x", 400),
        ("Observation?patient.colour=x", 400),
        ("Observation?_has:Provenance:target:colour=x", 400),
        ("Observation?date=yesterday", 400),
        ("Observation?_count=-1", 400),
        ("Observation?_sort=__class__", 400),
        ("Observation?_elements=nothing", 400),
        ("Observation?_summary=some", 400),
    ],
)  # fmt: skip
def test_a_search_finds_what_it_says(filled: Repository, operator: Scope, query: str, ids: str | int) -> None:
    type_, _, rest = query.partition("?")
    if ids == 400:
        with pytest.raises(Invalid):
            filled.search(operator, type_, rest)
        return
    page = filled.search(operator, type_, rest + "&_total=accurate")
    assert " ".join(entry.id for entry in page.entries) == ids
    assert page.total == len(page.entries)
    assert filled.search(operator, type_, rest + "&_summary=count").total == page.total


@pytest.mark.conformance("FHIR R4: search", "reference parameters: :identifier, and :missing knows a reference that is an identifier alone")
@pytest.mark.conformance("FHIR R4: search", "uri parameters: :above by segments of the path; URNs answer 400")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Observation?subject:missing=true", "x2"),
        ("Observation?subject:missing=false", "w2 w3 w1 w4 x1"),
        ("Observation?subject:identifier=urn:mrn|1", "x1"),
        ("Observation?subject:identifier=1", "x1"),
        ("Observation?subject:identifier=urn:mrn|", "x1"),
        ("Observation?date:missing=true", "x1 x2"),
        ("Observation?value-quantity:missing=false", "w2 w3 w1 w4"),
        ("Observation?code:missing=true", ""),
        ("Observation?code:not=29463-7", "x1 x2"),
        ("ValueSet?url:above=http://a.example/fhir/ValueSet/1/more", "v1 v2"),
        ("ValueSet?url:above=http://a.example/fhir/ValueSet/1", "v1 v2"),
        ("ValueSet?url:above=http://a.example/fhir", "v2"),
        ("ValueSet?url:above=http://a.example/fhirs", ""),
        ("ValueSet?url:above=urn:oid:1.2", 400),
        ("ValueSet?url:below=http://a.example", "v1 v2"),
        ("ValueSet?url:below=urn:oid:1.2", 400),
        ("ValueSet?url:missing=true", "v3"),
    ],
)  # fmt: skip
def test_modifiers_find_what_they_say(filled: Repository, operator: Scope, query: str, ids: str | int) -> None:
    code = {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]}
    identifier = {"identifier": {"system": "urn:mrn", "value": "1"}}
    others: list[dict[str, Any]] = [
        {"resourceType": "Observation", "id": "x1", "status": "final", "code": code, "subject": identifier},
        {"resourceType": "Observation", "id": "x2", "status": "final", "code": {"text": "Height"}},
        {"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "http://a.example/fhir/ValueSet/1"},
        {"resourceType": "ValueSet", "id": "v2", "status": "draft", "url": "http://a.example/fhir"},
        {"resourceType": "ValueSet", "id": "v3", "status": "draft"},
    ]
    for resource in others:
        filled.update(operator, resource["resourceType"], resource["id"], resource)
    type_, _, rest = query.partition("?")
    if ids == 400:
        with pytest.raises(Invalid):
            filled.search(operator, type_, rest)
        return
    found = [entry.id for entry in filled.search(operator, type_, rest).entries]
    assert sorted(found) == sorted(str(ids).split())


@pytest.mark.long
@pytest.mark.conformance("Attacks", "94: a thousand values for a parameter with many types of target are answered")
def test_a_thousand_references_without_a_type_are_answered(filled: Repository, operator: Scope) -> None:
    filled.create(operator, {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient/anna"}})
    ids = ",".join(["anna", *(f"nobody{number}" for number in range(999))])
    assert len(filled.search(operator, "Basic", f"subject={ids}").entries) == 1
    assert len(filled.search(operator, "Basic", f"subject={ids}&code:missing=false").entries) == 1
    assert len(filled.search(operator, "Patient", f"_id={ids}&gender=female").entries) == 1


@pytest.mark.conformance("FHIR R4: search", "_lastUpdated: a day, an instant, lt, gt, ge, le and a range of two")
@pytest.mark.conformance("What must be real underneath", "FHIR: search with _lastUpdated")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("_lastUpdated=2026-11-23", "anna cleo"),
        ("_lastUpdated=2026-11", "anna bert cleo"),
        ("_lastUpdated=2026", "anna bert cleo"),
        ("_lastUpdated=2025", ""),
        ("_lastUpdated=2026-11-22T23:59:59Z", "bert"),
        ("_lastUpdated=2026-11-22T18:59:59-05:00", "bert"),
        ("_lastUpdated=lt2026-11-23", "bert"),
        ("_lastUpdated=le2026-11-23", "anna bert cleo"),
        ("_lastUpdated=gt2026-11-23T00:00:00Z", "anna cleo"),
        ("_lastUpdated=ge2026-11-23T12:00:00Z", "anna cleo"),
        ("_lastUpdated=gt2026-11-23T12:00:00Z", "anna"),
        ("_lastUpdated=ge2026-11-23T00:00:00Z&_lastUpdated=lt2026-11-23T13:00:00Z", "cleo"),
        ("_lastUpdated=gt2026-11-22&gender=male", ""),
        ("_lastUpdated=2026-11-22,2026-11-24", "bert"),
    ],
)  # fmt: skip
def test_a_search_by_the_time_of_the_last_change(repository: Repository, operator: Scope, fake_clock: FakeClock, query: str, ids: str) -> None:
    written = [("anna", "2026-11-20T00:00:00Z"), ("bert", "2026-11-22T23:59:59Z"), ("cleo", "2026-11-23T12:00:00Z")]
    for patient, (id_, when) in zip(PATIENTS, written, strict=True):
        fake_clock.advance((parse_iso(when) - fake_clock.now_us()) / 1_000_000)
        repository.update(operator, "Patient", id_, patient)
    fake_clock.advance(3600)
    repository.update(operator, "Patient", "anna", {**PATIENTS[0], "active": False})  # her second version counts
    page = repository.search(operator, "Patient", f"{query}&_sort=_id&_total=accurate")
    assert (" ".join(entry.id for entry in page.entries), page.total) == (ids, len(ids.split()))


@pytest.mark.conformance("Attacks", "06: a count of zero answers the total alone")
@pytest.mark.conformance("FHIR R4: search", "_count=0 answers the total alone, as _summary=count does")
def test_a_count_of_zero_answers_the_total_alone(filled: Repository, operator: Scope) -> None:
    for query in ("_count=0", "_count=0&_total=accurate", "_summary=count"):
        page = filled.search(operator, "Patient", f"gender=female&{query}")
        assert (page.entries, page.included, page.total, page.next) == ((), (), 2, None), query


@pytest.mark.conformance("Attacks", "20: an unknown parameter in lenient mode leaves the other criteria in force")
def test_unknown_parameters_are_ignored_and_named_when_the_client_is_lenient(filled: Repository, operator: Scope) -> None:
    page = filled.search(operator, "Patient", "foo=1&gender=male", lenient=True)
    assert [entry.id for entry in page.entries] == ["bert"]
    assert [issue.text for issue in page.warnings] == ["Parameter 'foo' is not supported and was ignored."]


@pytest.mark.conformance("FHIR R4: search", "paging by keyset: no doubles, nothing missed, nothing that came later, under every sort")
@pytest.mark.conformance("FHIR R4: search", "_count sets the size of a page")
@pytest.mark.conformance("FHIR R4: search", "_sort by _lastUpdated")
@pytest.mark.conformance("What must be real underneath", "FHIR: keyset paging")
def test_pages_follow_each_other_without_doubles_and_without_what_came_later(filled: Repository, operator: Scope) -> None:
    for number, sort in enumerate(("", "&_sort=date", "&_sort=-date,_id", "&_sort=_lastUpdated", "&_sort=date,-_id", "&_sort=-_id")):
        everything = [entry.id for entry in filled.search(operator, "Observation", "status=final" + sort).entries]
        page = filled.search(operator, "Observation", "status=final&_count=2" + sort)
        first = [entry.id for entry in page.entries]
        filled.update(operator, "Observation", f"new{number}", _weight(f"new{number}", "bert", "2025-02-15", "1"))
        rest = []
        while page.next is not None:
            page = filled.search(operator, "Observation", page.next)
            rest += [entry.id for entry in page.entries]
        assert first + rest == everything, sort


@pytest.mark.conformance("Attacks", "08: a page link is refused to another user")
@pytest.mark.conformance("Attacks", "09: an altered or invented page link answers 400")
def test_a_page_link_is_for_its_reader_and_its_query_alone(filled: Repository, operator: Scope, clinician: Scope) -> None:
    link = filled.search(operator, "Observation", "status=final&_count=1").next
    assert link is not None
    with pytest.raises(Forbidden):
        filled.search(clinician, "Observation", link)
    with pytest.raises(Invalid):
        filled.search(operator, "Observation", link.replace("final", "preliminary"))
    for changed in (link[:-1] + ("A" if link[-1] != "A" else "B"), link[:-5], link + "%%%", link + "A" * 10_000):
        with pytest.raises(Invalid):
            filled.search(operator, "Observation", changed)


@pytest.mark.conformance("FHIR R4: search", "_include and _revinclude, also narrowed to one target type")
@pytest.mark.conformance("What must be real underneath", "FHIR: _include and _revinclude")
def test_neighbours_come_with_the_page(filled: Repository, operator: Scope) -> None:
    page = filled.search(operator, "Observation", "patient=anna&_include=Observation:subject")
    assert [entry.id for entry in page.included] == ["anna"]
    page = filled.search(operator, "Patient", "_id=anna,bert&_revinclude=Observation:subject&_count=10")
    assert sorted(entry.id for entry in page.included) == ["w1", "w2", "w3", "w4"]
    page = filled.search(operator, "Patient", "_id=cleo&_revinclude=Observation:subject:Patient")
    assert page.included == ()


@pytest.mark.conformance("Access", "hidden rows are in no page, total, reverse include or type history")
@pytest.mark.conformance("Attacks", "04: _revinclude brings nothing that is labelled")
def test_hidden_rows_are_in_no_page_total_or_include(filled: Repository, operator: Scope) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
    hidden = json.loads(_weight("w5", "cleo", "2025-01-01", "50")) | {"meta": {"security": [label]}}
    filled.update(operator, "Observation", "w5", hidden)
    for role in ("operator", "clinician"):
        reader = scope(role)
        assert filled.search(reader, "Observation", "patient=cleo&_total=accurate").total == 0
        assert filled.search(reader, "Patient", "_id=cleo&_revinclude=Observation:subject").included == ()
        assert "w5" not in {entry.id for entry in filled.history(reader, "Observation").entries}
    assert filled.search(scope("psychiatric-clinician"), "Observation", "patient=cleo&_total=accurate").total == 1


@pytest.mark.conformance("FHIR R4: interactions", "history of a type and of the whole system, in pages; _at is not built and answers 400")
def test_history_pages_over_a_type_and_over_everything(filled: Repository, operator: Scope) -> None:
    filled.delete(operator, "Patient", "cleo")
    page = filled.history(operator, "Patient", params="_count=3")
    assert [(entry.id, entry.version) for entry in page.entries] == [("cleo", 2), ("cleo", 1), ("bert", 1)]
    assert page.next is not None
    assert [entry.id for entry in filled.history(operator, "Patient", params=page.next).entries] == ["anna"]
    assert len(filled.history(operator).entries) == 8
    with pytest.raises(Invalid):
        filled.history(operator, "Patient", params="_at=soon")


def test_a_stream_gives_every_living_resource_once(filled: Repository, operator: Scope) -> None:
    assert sorted(stored.id for stored in filled.stream(operator, ["Patient", "Observation"])) == ["anna", "bert", "cleo", "w1", "w2", "w3", "w4"]
