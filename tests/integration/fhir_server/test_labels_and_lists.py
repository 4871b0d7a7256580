"""_security and _list on both databases: what stands beside a resource, for who may see it there."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import BASE, fill, scope

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
PSY, TABOO = {"system": ACT, "code": "PSY"}, {"system": ACT, "code": "TBOO"}
RESTRICTED = {"system": CONFIDENTIALITY, "code": "R"}


def _observation(id_: str, *labels: dict[str, str]) -> dict[str, Any]:
    meta = {"meta": {"security": list(labels)}} if labels else {}
    code = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, "subject": {"reference": "Patient/anna"}, **meta}


def _list(id_: str, *items: str, **more: Any) -> dict[str, Any]:
    entries = [{"item": {"reference": item}} for item in items]
    return {"resourceType": "List", "id": id_, "status": "current", "mode": "working", "entry": entries, **more}


RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "anna", "name": [{"family": "Smith"}]},
    {"resourceType": "Patient", "id": "bert", "name": [{"family": "Jones"}]},
    _observation("plain"), _observation("restricted", RESTRICTED), _observation("mood", PSY), _observation("both", PSY, RESTRICTED, TABOO),
    _list("mine", "Patient/anna", f"{BASE}/Observation/plain", "https://elsewhere.example/fhir/Patient/bert"),
    _list("other", "Patient/bert", "Observation/restricted/_history/1"),
    {**_list("changes", "Patient/anna"), "mode": "changes", "entry": [{"item": {"reference": "Patient/anna"}, "deleted": True}]},
    _list("closed", "Patient/anna", meta={"security": [PSY]}),
]  # fmt: skip


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """Resources with labels of both kinds, and Lists."""
    return fill(repository, operator, RESOURCES)


SECURITY: list[tuple[str, str, str]] = [
    (f"_security={ACT}|PSY", "", "both mood"),
    ("_security=PSY", "", "both mood"),
    ("_security=|PSY", "", ""),
    ("_security=urn:other|PSY", "", ""),
    (f"_security={CONFIDENTIALITY}|R", "restricted", "both restricted"),
    ("_security=TBOO,R", "restricted", "both restricted"),
    ("_security=PSY&_security=R", "", "both"),
    ("_security:not=PSY", "plain restricted", "plain restricted"),
    ("_security:not=R", "plain", "mood plain"),
    ("_security:missing=true", "plain", "plain"),
    ("_security:missing=false", "restricted", "both mood restricted"),
    ("_security=PSY&code=29463-7&_id=mood", "", "mood"),
    ("_security=R&subject:Patient.name=smith", "restricted", "both restricted"),
]


@pytest.mark.conformance("FHIR R4: search", "_security finds labels of the body and sensitivity labels, with :not and :missing")
@pytest.mark.conformance("Access", "_security finds nothing of a hidden row, in a page or a total")
@pytest.mark.parametrize(("query", "seen", "all_of_it"), SECURITY)
def test_a_search_by_label_finds_what_its_reader_sees(filled: Repository, query: str, seen: str, all_of_it: str) -> None:
    for role, ids in (("clinician", seen), ("psychiatric-clinician", all_of_it)):
        page = filled.search(scope(role), "Observation", f"{query}&_sort=_id&_total=accurate")
        assert (" ".join(entry.id for entry in page.entries), page.total) == (ids, len(ids.split())), role
    found = filled.search(scope("psychiatric-clinician"), "Patient", "_has:Observation:patient:_security=PSY").entries
    assert [entry.id for entry in found] == ["anna"]
    assert filled.search(scope("clinician"), "Patient", "_has:Observation:patient:_security=PSY").entries == ()


@pytest.mark.conformance("Access", "_security is refused to who does not see all of every row of a type, as $meta leaves labels out there")
def test_who_sees_a_type_in_part_may_not_search_it_by_label(filled: Repository) -> None:
    for query in ("_security=PSY", "_security:not=PSY", "_security:missing=true", "subject:Patient._security=PSY"):
        with pytest.raises(Forbidden):
            filled.search(scope("billing-administrator"), "Encounter", query)
    with pytest.raises(Forbidden):
        filled.search_system(scope("billing-administrator"), "_type=Encounter,Claim&_security=PSY")


LISTS: list[tuple[str, str | int]] = [
    ("Patient?_list=mine", "anna"),
    ("Patient?_list=List/other", "bert"),
    ("Patient?_list=mine,other", "anna bert"),
    ("Patient?_list=mine&_list=other", ""),
    ("Patient?_list=mine,other&name=jones", "bert"),
    ("Patient?_list=changes", ""),
    ("Patient?_list=closed", ""),
    ("Patient?_list=nothing", ""),
    ("Observation?_list=mine", "plain"),
    ("Observation?_list=other,mine&_sort=-_id", "restricted plain"),
    ("Observation?_list=mine&subject:Patient.name=smith", "plain"),
    ("Patient?_list=mine,other&_has:Observation:patient:_id=plain", "anna"),
    ("Patient?_list=$current-patients", 400),
]


@pytest.mark.conformance("FHIR R4: search", "_list finds what a List names: several of them, with other parameters, without what was removed")
@pytest.mark.conformance("Access", "_list of a hidden List finds what a List that is not there finds")
@pytest.mark.parametrize(("query", "ids"), LISTS)
def test_a_list_finds_what_it_names(filled: Repository, operator: Scope, query: str, ids: str | int) -> None:
    type_, _, rest = query.partition("?")
    if ids == 400:
        with pytest.raises(Invalid):
            filled.search(operator, type_, rest)
        return
    page = filled.search(operator, type_, f"{rest}&_total=estimate")
    assert (" ".join(sorted(entry.id for entry in page.entries)), page.total) == (" ".join(sorted(str(ids).split())), len(str(ids).split()))
    assert page.self_query.endswith("_total=estimate")


@pytest.mark.conformance("Access", "_list is answered under the rights to the List as well")
def test_who_may_not_see_a_list_does_not_search_by_it(filled: Repository, operator: Scope) -> None:
    assert [entry.id for entry in filled.search(scope("psychiatric-clinician"), "Patient", "_list=closed").entries] == ["anna"]
    assert sorted(entry.id for entry in filled.search_system(operator, "_type=Patient,Observation&_list=mine").entries) == ["anna", "plain"]
    assert [entry.id for entry in filled.search_system(operator, "_list=other&_type=Patient").entries] == ["bert"]
    assert [entry.id for entry in filled.search_compartment(operator, ("Patient", "anna", "Observation"), "_list=mine").entries] == ["plain"]
    for role in ("billing-administrator", "integration-engine"):
        with pytest.raises(Forbidden):
            filled.search(scope(role), "Patient", "_list=mine")


@pytest.mark.conformance("FHIR R4: search", "_contained=false and _containedType=container are answered; _contained=true and both, _query and _sort=_score are refused with the reason")
def test_what_concerns_the_search_as_a_whole(filled: Repository, operator: Scope) -> None:
    page = filled.search(operator, "Patient", "_contained=false&_containedType=container&_sort=_id")
    assert ([entry.id for entry in page.entries], page.self_query) == (["anna", "bert"], "_contained=false&_containedType=container&_sort=_id")
    for query in ("_contained=true", "_contained=both", "_contained=", "_containedType=contained", "_query=current", "_sort=_score"):
        with pytest.raises(Invalid):
            filled.search(operator, "Patient", query)
