"""Chained parameters and _has on both databases: literal resources in, literal ids out, also for readers with hidden rows."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.repository import Repository
from fhir_server.search import hops as search_hops
from tests.integration.fhir_server.conftest import BASE, fill, scope

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}


def _observation(id_: str, subject: str, code: str, performer: str = "Practitioner/d1") -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": subject}, "performer": [{"reference": performer}], "effectiveDateTime": "2026-01-01",
    }  # fmt: skip


RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Organization", "id": "north", "name": "North Clinic"},
    {"resourceType": "Organization", "id": "south", "name": "South Clinic", "partOf": {"reference": "Organization/north"}},
    {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Grey"}]},
    {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/d1"}, "organization": {"reference": "Organization/south"}},
    {"resourceType": "Patient", "id": "anna", "name": [{"family": "Smith"}], "gender": "female", "identifier": [{"system": "urn:mrn", "value": "1"}],
     "generalPractitioner": [{"reference": "PractitionerRole/r1"}, {"reference": "Practitioner/d1"}]},
    {"resourceType": "Patient", "id": "bert", "name": [{"family": "Jones"}], "gender": "male", "identifier": [{"system": "urn:mrn", "value": "2"}],
     "managingOrganization": {"reference": "Organization/south"}},
    {"resourceType": "Patient", "id": "cleo", "name": [{"family": "Smith"}], "meta": PSY},
    {"resourceType": "Device", "id": "scale", "identifier": [{"system": "urn:mrn", "value": "1"}]},
    {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/anna"}},
    {"resourceType": "Encounter", "id": "e2", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/bert"}},
    {**_observation("weight", "Patient/anna", "29463-7"), "encounter": {"reference": "Encounter/e1"}},
    _observation("height", f"{BASE}/Patient/bert", "8302-2", "Organization/south"),
    _observation("device", "Device/scale", "29463-7"),
    _observation("closed", "Patient/cleo", "29463-7"),
    {**_observation("mood", "Patient/bert", "44261-6"), "meta": PSY},
    {"resourceType": "Provenance", "id": "p1", "recorded": "2026-01-01T00:00:00Z", "target": [{"reference": "Observation/weight"}],
     "agent": [{"who": {"reference": "Practitioner/d1"}}]},
]  # fmt: skip


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """Two clinics, two patients that everybody sees and one that only psychiatry does."""
    return fill(repository, operator, RESOURCES)


CHAINS: list[tuple[str, str | int, str]] = [
    ("Observation?subject:Patient.name=smith", "weight", "closed weight"),
    ("Observation?subject:Patient.name:exact=Jones", "height", "height mood"),
    ("Observation?patient.name=smith", "weight", "closed weight"),
    ("Observation?patient.gender:not=female", "height", "closed height mood"),
    ("Observation?patient.gender:missing=true", "", "closed"),
    ("Observation?subject.identifier=urn:mrn|1", "device weight", "device weight"),
    ("Observation?subject:Device.identifier=urn:mrn|1", "device", "device"),
    ("Observation?subject:Patient._id=bert,cleo", "height", "closed height mood"),
    ("Observation?subject:Patient.name=smith&code=29463-7&status=final", "weight", "closed weight"),
    ("Observation?subject:Patient.name=smith&subject:Patient.gender=female", "weight", "weight"),
    ("Observation?performer:Organization.name=south", "height", "height"),
    ("Observation?subject:Patient.name=nobody", "", ""),
    ("Patient?general-practitioner.organization.name=south", "anna", "anna"),
    ("Patient?general-practitioner:PractitionerRole.organization:Organization.partof=north", "anna", "anna"),
    ("Patient?general-practitioner:PractitionerRole.organization.partof.name=north", "anna", "anna"),
    ("Observation?patient.general-practitioner:PractitionerRole.organization.name=south", "weight", "weight"),
    ("Observation?patient.general-practitioner:PractitionerRole.organization.partof.name=north", 400, ""),
    ("Patient?general-practitioner.organisation.name=south", 400, ""),
    ("Observation?subject:Colour.name=x", 400, ""),
    ("Observation?subject:Practitioner.name=x", 400, ""),
    ("Observation?code.name=x", 400, ""),
    ("Observation?subject.name:below=x", 400, ""),
    ("Observation?subject:Patient.birthdate=soon", 400, ""),
    ("Observation?subject:Patient._security=PSY", "", "closed"),
    ("Provenance?target.code=29463-7", 400, ""),
    ("Provenance?target:Observation.code=29463-7", "p1", "p1"),
    ("QuestionnaireResponse?questionnaire.title=x", 400, ""),
]
HAS: list[tuple[str, str | int, str]] = [
    ("Patient?_has:Observation:patient:code=29463-7", "anna", "anna cleo"),
    ("Patient?_has:Observation:subject:code=http://loinc.org|8302-2", "bert", "bert"),
    ("Patient?_has:Observation:patient:code=44261-6", "", "bert"),
    ("Patient?_has:Observation:patient:code:not=29463-7", "bert", "bert"),
    ("Patient?_has:Observation:patient:_id=weight,height&gender=male", "bert", "bert"),
    ("Patient?_has:Observation:patient:code=29463-7&_has:Observation:patient:code=8302-2", "", ""),
    ("Device?_has:Observation:subject:code=29463-7", "scale", "scale"),
    ("Organization?_has:PractitionerRole:organization:practitioner.name=grey", "south", "south"),
    ("Patient?_has:Observation:patient:performer:Practitioner.name=grey", "anna", "anna bert cleo"),
    ("Patient?_has:Observation:patient:_has:Provenance:target:recorded=2026", "anna", "anna"),
    ("Patient?_has:Observation:patient:_has:Provenance:target:agent:Practitioner.name=grey", "anna", "anna"),
    ("Encounter?patient._has:Observation:patient:code=8302-2", "e2", "e2"),
    ("Encounter?subject:Patient._has:Observation:patient:code=44261-6", "", "e2"),
    ("Organization?_has:Patient:organization:_has:Observation:patient:_has:Provenance:target:_id=p1", "", ""),
    ("Organization?_has:Patient:organization:_has:Observation:patient:_has:Provenance:target:agent.name=x", 400, ""),
    ("Patient?_has:Observation:patient=x", 400, ""),
    ("Patient?_has:Observation:encounter:code=x", 400, ""),
    ("Patient?_has:Colour:patient:code=x", 400, ""),
    ("Patient?_has:Observation:patient:colour=x", 400, ""),
    ("Patient?_has:AuditEvent:patient:action=R", 400, ""),
    ("Patient?_has::::=x", 400, ""),
]


@pytest.mark.conformance("FHIR R4: search", "chained parameters: one to three hops, with and without a type, with modifiers, joined with others")
@pytest.mark.conformance("FHIR R4: search", "_has, _has within _has, chains within _has and _has within chains, up to three hops")
@pytest.mark.conformance("Access", "a chain and a _has do not pass through what is hidden, in any hop")
@pytest.mark.parametrize("limit", [10_000, 3])
@pytest.mark.parametrize(("query", "seen", "all_of_it"), [*CHAINS, *HAS])
def test_a_chain_finds_what_it_says(
    filled: Repository, monkeypatch: pytest.MonkeyPatch, query: str, seen: str | int, all_of_it: str, limit: int
) -> None:
    monkeypatch.setattr(search_hops, "MAX_LINKED", limit)  # few: the candidates choose where the far end matches more
    type_, _, rest = query.partition("?")
    if seen == 400:
        with pytest.raises(Invalid):
            filled.search(scope("clinician"), type_, rest)
        return
    for role, ids in (("clinician", str(seen)), ("psychiatric-clinician", all_of_it)):
        page = filled.search(scope(role), type_, rest + "&_total=accurate&_sort=_id")
        assert (" ".join(entry.id for entry in page.entries), page.total) == (ids, len(ids.split())), role


@pytest.mark.conformance("FHIR R4: search", "a chain that leads over too many resources at both ends gives its pages, and its total is refused, not cut off")
def test_a_chain_over_too_many_resources_is_refused(filled: Repository, operator: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_hops, "MAX_LINKED", 1)
    for query in ("subject:Patient.gender=female,male", "subject:Patient.gender=female,male&status=final"):
        with pytest.raises(Invalid) as caught:
            filled.search(operator, "Observation", f"{query}&_total=accurate")
        assert caught.value.issues[0].code == "too-costly"
    assert [each.id for each in filled.search(operator, "Observation", "subject:Patient.gender=female,male&_id=weight").entries] == ["weight"]
    with pytest.raises(Invalid):
        filled.search(operator, "Patient", "_has:Observation:patient:status=final&_summary=count")
    with pytest.raises(Invalid):
        filled.search(operator, "Patient", "_has:Observation:patient:status=final&_sort=birthdate,_id")
    assert [each.id for each in filled.search(operator, "Patient", "_has:Observation:patient:status=final&name=jones").entries] == ["bert"]


@pytest.mark.conformance("Attacks", "02: a hidden element is not chained on")
@pytest.mark.conformance("Access", "who may not see an element may not chain on it, and who has no right to a type may not chain to it")
def test_a_hidden_element_is_not_chained_on(filled: Repository) -> None:
    biller, engine = scope("billing-administrator"), scope("risk-engine")
    allowed = ["Encounter?subject:Patient.name=smith", "Encounter?patient.birthdate=1980", "Patient?_has:Encounter:subject:date=2026"]
    for query in allowed:
        type_, _, rest = query.partition("?")
        filled.search(biller, type_, rest)
    refused = [
        (biller, "Claim?encounter.reason-code=1"),  # not on the list of elements that billing sees
        (biller, "Claim?encounter.patient.name=smith&encounter.type=1"),
        (biller, "Encounter?reason-reference:Observation.code=29463-7"),
        (biller, "Patient?_has:Encounter:subject:reason-code=1"),
        (biller, "Patient?_has:Observation:patient:code=29463-7"),
        (biller, "Patient?_has:Encounter:subject:_has:Observation:encounter:code=29463-7"),
        (engine, "Patient?general-practitioner:Organization.name=north"),
        (engine, "Patient?general-practitioner.name=north"),
    ]
    for reader, query in refused:
        type_, _, rest = query.partition("?")
        with pytest.raises(Forbidden):
            filled.search(reader, type_, rest)
            pytest.fail(query)
    # Of the types a hop may lead to, those without a right are as if nothing of them were stored.
    found = filled.search(engine, "Observation", "subject.identifier=urn:mrn|1").entries
    assert [entry.id for entry in found] == ["device", "weight"]
    assert filled.search(scope("patient", patient="Patient/anna"), "Patient", "_has:Observation:patient:status=final").entries[0].id == "anna"
    assert not filled.search(scope("patient", patient="Patient/bert"), "Observation", "patient.name=smith").entries


@pytest.mark.conformance("FHIR R4: search", "a chained condition of a conditional create matches what its author may see")
def test_a_condition_may_be_chained(filled: Repository, operator: Scope) -> None:
    body = {key: value for key, value in RESOURCES[8].items() if key != "id"}
    assert filled.create(operator, body, if_none_exist="patient.identifier=urn:mrn|1").stored.id == "e1"
    assert filled.create(scope("clinician"), body, if_none_exist="patient._id=cleo").created
    with pytest.raises(Forbidden):
        filled.create(scope("integration-engine"), body, if_none_exist="patient._has:Observation:patient:code=1")


@pytest.mark.conformance("FHIR R4: search", "pages and deletions under a chain: no doubles, and what is deleted leads nowhere")
def test_a_chain_pages_and_forgets_what_is_deleted(filled: Repository, operator: Scope) -> None:
    assert [entry.id for entry in filled.all(operator, "Observation", "subject.identifier=urn:mrn|1&_count=1&_sort=-_id")] == ["weight", "device"]
    filled.delete(operator, "Observation", "weight")
    assert filled.search(operator, "Patient", "_has:Observation:patient:code=29463-7").entries == ()
    page = filled.search(operator, "Observation", "subject.identifier=urn:mrn|1")
    assert [entry.id for entry in page.entries] == ["device"]
    assert page.self_query == "subject.identifier=urn%3Amrn%7C1"
