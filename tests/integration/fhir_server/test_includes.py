"""_include and _revinclude on both databases: rounds, wildcards, versions, canonical addresses, and what a reader does not see."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.repository import Repository
from fhir_server.search import including
from fhir_server.store import Page
from tests.integration.fhir_server.conftest import BASE, fill, scope

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
FORM = "http://a.example/Questionnaire/mood"


def _observation(id_: str, **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, **more}


def _answers(id_: str, canonical: str) -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "id": id_, "status": "completed", "questionnaire": canonical}


RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Organization", "id": "north", "name": "North"},
    {"resourceType": "Organization", "id": "south", "name": "South", "partOf": {"reference": "Organization/north"}},
    {"resourceType": "Organization", "id": "ward", "name": "Ward", "partOf": {"reference": f"{BASE}/Organization/south"}},
    {"resourceType": "Patient", "id": "anna", "managingOrganization": {"reference": "Organization/ward"}},
    {"resourceType": "Patient", "id": "anna", "managingOrganization": {"reference": "Organization/ward"}, "gender": "female"},
    {"resourceType": "Practitioner", "id": "grey"},
    _observation("w1", subject={"reference": "Patient/anna"}, performer=[{"reference": "Practitioner/grey"}, {"reference": "Organization/south"}]),
    _observation("w2", subject={"reference": "Patient/anna/_history/1"}, focus=[{"reference": "Observation/w1"}, {"reference": "Observation/mood"}]),
    _observation("mood", subject={"reference": "Patient/anna"}, performer=[{"reference": "Organization/north"}], meta=PSY),
    _observation("ring1", hasMember=[{"reference": "Observation/ring2"}]),
    _observation("ring2", hasMember=[{"reference": "Observation/ring1"}, {"reference": "Observation/ring2"}]),
    {"resourceType": "Provenance", "id": "p1", "recorded": "2026-01-01T00:00:00Z", "target": [{"reference": "Observation/w1"}],
     "agent": [{"who": {"reference": "Practitioner/grey"}}]},
    {"resourceType": "Provenance", "id": "p2", "recorded": "2026-01-01T00:00:00Z", "target": [{"reference": "Provenance/p1"}],
     "agent": [{"who": {"reference": "Practitioner/grey"}}]},
    {"resourceType": "Questionnaire", "id": "form1", "status": "active", "url": FORM, "version": "1"},
    {"resourceType": "Questionnaire", "id": "form2", "status": "active", "url": FORM, "version": "2"},
    _answers("a0", FORM), _answers("a1", f"{FORM}|1"), _answers("a2", f"{FORM}|2"), _answers("a9", f"{FORM}|9"), _answers("other", f"{FORM}2"),
]  # fmt: skip


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """Two clinics, a chart, a ring of references and a form with two versions."""
    return fill(repository, operator, RESOURCES)


def _included(page: Page) -> str:
    matches = {(entry.type, entry.id, entry.version) for entry in page.entries}
    found = [(entry.type, entry.id, entry.version) for entry in page.included]
    assert len({*found}) == len(found)
    assert matches.isdisjoint(found)
    return " ".join(sorted(f"{id_}.{version}" if id_ == "anna" else id_ for _, id_, version in found))


INCLUDES: list[tuple[str, str | int, str]] = [
    ("Observation?_id=w1&_include=Observation:subject", "anna.2", "anna.2"),
    ("Observation?_id=w2&_include=Observation:subject", "anna.1", "anna.1"),
    ("Observation?_id=w1,w2&_include=Observation:subject", "anna.1 anna.2", "anna.1 anna.2"),
    ("Observation?_id=w1&_include=Observation:performer", "grey south", "grey south"),
    ("Observation?_id=w1&_include=Observation:performer:Organization", "south", "south"),
    ("Observation?_id=w1&_include=Observation:*", "anna.2 grey south", "anna.2 grey south"),
    ("Observation?_id=w1&_include=*", "anna.2 grey south", "anna.2 grey south"),
    ("Observation?_id=w1&_include=Observation:*:Organization", "south", "south"),
    ("Observation?_id=w2&_include=*", "anna.1 w1", "anna.1 mood w1"),
    ("Observation?_id=w2&_include:iterate=*", "anna.1 anna.2 grey north south w1 ward", "anna.1 anna.2 grey mood north south w1 ward"),
    ("Observation?_id=w2&_include=Observation:focus&_include:iterate=Observation:performer:Organization", "south w1", "mood north south w1"),
    ("Observation?_id=w1&_include=Observation:subject&_include=Organization:partof", 400, ""),
    ("Observation?_id=w1&_include=Observation:subject&_include:iterate=Patient:organization", "anna.2 ward", "anna.2 ward"),
    ("Observation?_id=w1&_include=Observation:subject&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
     "anna.2 north south ward", "anna.2 north south ward"),
    ("Organization?_id=ward&_include=Organization:partof", "south", "south"),
    ("Organization?_id=ward&_include:iterate=Organization:partof", "north south", "north south"),
    ("Organization?_id=ward,south&_include:iterate=Organization:partof", "north", "north"),
    ("Observation?_id=ring1&_include:iterate=Observation:has-member", "ring2", "ring2"),
    ("Observation?_id=ring1,ring2&_include:iterate=Observation:has-member", "", ""),
    ("Observation?_id=ring1&_revinclude:iterate=Observation:has-member", "ring2", "ring2"),
    ("Observation?_id=w1&_revinclude=Provenance:target", "p1", "p1"),
    ("Observation?_id=w1&_revinclude:iterate=Provenance:target", "p1 p2", "p1 p2"),
    ("Observation?_id=w1&_revinclude=Provenance:*", "p1", "p1"),
    ("Observation?_id=w1&_revinclude=*", "p1 w2", "p1 w2"),
    ("Patient?_id=anna&_revinclude=*", "w1 w2", "mood w1 w2"),
    ("Patient?_id=anna&_revinclude=Observation:subject&_revinclude:iterate=Provenance:target&_include:iterate=Provenance:agent",
     "grey p1 p2 w1 w2", "grey mood p1 p2 w1 w2"),
    ("Patient?_id=anna&_revinclude=*:*", 400, ""),
    ("Organization?_id=north&_revinclude=Observation:performer", "", "mood"),
]  # fmt: skip
CANONICALS: list[tuple[str, str]] = [
    ("QuestionnaireResponse?_id=a0&_include=QuestionnaireResponse:questionnaire", "form2"),
    ("QuestionnaireResponse?_id=a1&_include=QuestionnaireResponse:questionnaire", "form1"),
    ("QuestionnaireResponse?_id=a0,a1&_include=*", "form1 form2"),
    ("QuestionnaireResponse?_id=a9,other&_include=QuestionnaireResponse:questionnaire:Questionnaire", ""),
    ("Questionnaire?_id=form1&_revinclude=QuestionnaireResponse:questionnaire", "a0 a1"),
    ("Questionnaire?_id=form2&_revinclude=*", "a0 a2"),
]


@pytest.mark.conformance("FHIR R4: search", "_include and _revinclude: Source:*, *, a target type, :iterate; cycles end, nothing is included twice")
@pytest.mark.conformance("FHIR R4: search", "_include of a versioned reference brings that version")
@pytest.mark.conformance("Access", "what is hidden is included in no round, and no round passes through it")
@pytest.mark.parametrize(("query", "seen", "all_of_it"), INCLUDES)
def test_what_is_included(filled: Repository, query: str, seen: str | int, all_of_it: str) -> None:
    type_, _, rest = query.partition("?")
    if seen == 400:
        with pytest.raises(Invalid):
            filled.search(scope("clinician"), type_, rest)
        return
    for role, ids in (("clinician", str(seen)), ("psychiatric-clinician", all_of_it)):
        assert _included(filled.search(scope(role), type_, rest)) == ids, role


@pytest.mark.conformance("FHIR R4: search", "_include and _revinclude follow canonicals: url|version names that version, url the one stored last")
@pytest.mark.parametrize(("query", "ids"), CANONICALS)
def test_a_canonical_is_followed(filled: Repository, operator: Scope, query: str, ids: str) -> None:
    type_, _, rest = query.partition("?")
    assert _included(filled.search(operator, type_, rest)) == ids
    if type_ == "QuestionnaireResponse":  # clinicians have no right to Questionnaires
        assert _included(filled.search(scope("clinician"), type_, rest)) == ""


@pytest.mark.conformance("FHIR R4: search", "_include and _revinclude on the system and in a compartment")
def test_what_is_included_of_several_types(filled: Repository, operator: Scope) -> None:
    query = "_type=Observation,Organization&_id=w1,ward&_include=Observation:subject&_include=Organization:partof&_revinclude=Provenance:target"
    assert _included(filled.search_system(operator, query)) == "anna.2 p1 south"
    page = filled.search_compartment(operator, ("Patient", "anna", "Observation"), "_include=*")
    assert _included(page) == "anna.1 anna.2 grey south"
    with pytest.raises(Invalid):
        filled.search_system(operator, "_type=Observation&_include=Organization:partof")


@pytest.mark.conformance("Attacks", "93: includes in rounds are bounded, and refused as too costly rather than cut off")
def test_too_many_neighbours_are_refused(filled: Repository, operator: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(including, "MAX_INCLUDED", 2)
    filled.search(operator, "Organization", "_id=ward&_include:iterate=Organization:partof")
    for query in ("_id=ward&_include:iterate=*&_revinclude=*", "_id=ward&_revinclude:iterate=*"):
        with pytest.raises(Invalid) as caught:
            filled.search(operator, "Organization", query)
        assert caught.value.issues[0].code == "too-costly"


@pytest.mark.conformance("Access", "a version is included for who may see its labels and those of the resource today")
def test_a_version_is_included_for_who_may_read_it(filled: Repository, operator: Scope, clinician: Scope) -> None:
    filled.update(operator, "Patient", "anna", {"resourceType": "Patient", "id": "anna", "meta": PSY})
    assert _included(filled.search(clinician, "Observation", "_id=w2&_include=Observation:subject")) == ""
    assert _included(filled.search(scope("psychiatric-clinician"), "Observation", "_id=w2&_include=Observation:subject")) == "anna.1"


@pytest.mark.conformance("FHIR R4: search", "a deleted resource is not included; the version that a reference names still is")
def test_a_deleted_resource_is_not_included(filled: Repository, operator: Scope) -> None:
    filled.delete(operator, "Patient", "anna")
    assert _included(filled.search(operator, "Observation", "_id=w1,w2&_include=Observation:subject")) == "anna.1"


@pytest.mark.conformance("Attacks", "04: a hidden reference is not followed")
@pytest.mark.conformance("Access", "_include of a hidden reference is refused by name, and left out of *")
def test_a_hidden_reference_is_not_followed(filled: Repository, operator: Scope) -> None:
    biller = scope("billing-administrator")
    claim = {
        "resourceType": "Claim", "id": "c1", "status": "draft", "use": "claim", "created": "2026-01-03", "patient": {"reference": "Patient/anna"},
        "type": {"coding": [{"code": "professional"}]}, "provider": {"reference": "Organization/ward"}, "priority": {"coding": [{"code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/v1"}}],
        "item": [{"sequence": 1, "productOrService": {"text": "x"}, "encounter": [{"reference": "Encounter/e1"}]}],
    }  # fmt: skip
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/anna"}}
    for resource in (encounter, claim):
        filled.update(operator, str(resource["resourceType"]), str(resource["id"]), resource)
    assert _included(filled.search(operator, "Claim", "_include=*")) == "anna.2 e1 ward"
    shown = filled.search(biller, "Claim", "").entries[0].json()
    seen = _included(filled.search(biller, "Claim", "_include=*")).split()
    assert ("e1" in seen) == ("encounter" in shown["item"][0])
    if "e1" not in seen:
        assert _included(filled.search(biller, "Encounter", "_id=e1&_revinclude=*")) == ""
        for type_, query in (("Claim", "_include=Claim:encounter"), ("Encounter", "_revinclude=Claim:encounter")):
            with pytest.raises(Forbidden):
                filled.search(biller, type_, query)
