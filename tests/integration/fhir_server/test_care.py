"""Who treats whom, and who codes which note: it follows from what is stored, from the next request on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.db import Database
from chartloop.kernel.errors import ChartloopError, Forbidden, MethodNotAllowed, NotFound
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import fill, scope

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ADA = scope("clinician", user="Practitioner/ada")
JON = scope("clinician", user="Practitioner/jon")
CASEY = scope("coder", user="Practitioner/casey")
ROBIN = scope("coder", user="Practitioner/robin")


def person(number: int, **more: Any) -> dict[str, Any]:
    race = [{"url": "http://example.org/race", "valueString": "secret"}]
    return {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Family{number}"}], "extension": race, **more}


def visit(number: int, who: str = "Practitioner/ada", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": f"e{number}", "status": "in-progress", "class": {"system": ACT, "code": "AMB"},
        "subject": {"reference": f"Patient/p{number}"}, "participant": [{"individual": {"reference": who}}] if who else [], **more,
    }  # fmt: skip


def pulse(number: int) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    return {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": code, "subject": {"reference": f"Patient/p{number}"}}


def note(number: int) -> dict[str, Any]:
    content = [{"attachment": {"contentType": "text/plain", "data": "Q291Z2gu"}}]
    return {"resourceType": "DocumentReference", "id": f"d{number}", "status": "current", "subject": {"reference": f"Patient/p{number}"}, "content": content}


def task(number: int, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task", "id": f"t{number}", "status": "requested", "intent": "order", "for": {"reference": f"Patient/p{number}"},
        "input": [{"type": {"text": "note"}, "valueReference": {"reference": f"DocumentReference/d{number}"}}], **more,
    }  # fmt: skip


def without_empty(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if value != []}


def seen(repository: Repository, who: Scope, type_: str, id_: str) -> bool:
    """Whether somebody reads it and finds it; both say the same."""
    try:
        repository.read(who, type_, id_)
        read = True
    except ChartloopError:
        read = False
    assert read == bool(repository.search(who, type_, f"_id={id_}&_total=accurate").total)
    return read


@pytest.fixture
def charts(repository: Repository, operator: Scope) -> Repository:
    """Two patients: Ada sees the first."""
    return fill(repository, operator, [person(1), person(2), visit(1), without_empty(visit(2, "")), pulse(1), pulse(2), note(1), note(2)])


@pytest.mark.conformance("Access", "a named clinician sees the charts of those they treat, on every path, and of others the name alone")
def test_a_clinician_sees_own_patients_in_full_and_of_others_the_name(charts: Repository) -> None:
    assert seen(charts, ADA, "Observation", "o1")
    assert not seen(charts, ADA, "Observation", "o2")
    assert not seen(charts, JON, "Observation", "o1")
    assert [each.id for each in charts.search(ADA, "Observation", "").entries] == ["o1"]
    assert [each.id for each in charts.search(ADA, "Patient", "_revinclude=Observation:subject&_sort=_id").included] == ["o1"]
    own, other = charts.read(ADA, "Patient", "p1"), charts.read(ADA, "Patient", "p2")
    assert b"secret" in own.body
    assert b"Family2" in other.body
    assert b"secret" not in other.body
    page = {each.id: each.redacted for each in charts.search(ADA, "Patient", "").entries}
    assert page == {"p1": False, "p2": True}


@pytest.mark.conformance("Access", "a care relation ends with the visit that made it, and after it by its time")
def test_a_relation_ends_with_what_made_it(charts: Repository, operator: Scope) -> None:
    charts.update(operator, "Encounter", "e1", visit(1, "Practitioner/jon"))
    assert not seen(charts, ADA, "Observation", "o1")
    assert seen(charts, JON, "Observation", "o1")
    charts.delete(operator, "Encounter", "e1")
    assert not seen(charts, JON, "Observation", "o1")
    for status in ("cancelled", "entered-in-error"):
        charts.update(operator, "Encounter", "e1", visit(1, status=status))
        assert not seen(charts, ADA, "Observation", "o1")


@pytest.mark.conformance("Access", "a care relation ends with the visit that made it, and after it by its time")
def test_a_year_after_the_visit_nobody_treats(charts: Repository, operator: Scope) -> None:
    ago = clock.iso(clock.now_us() - 366 * 86_400_000_000)
    charts.update(operator, "Encounter", "e1", visit(1, status="finished", period={"start": ago, "end": ago}))
    assert not seen(charts, ADA, "Observation", "o1")


@pytest.mark.parametrize(
    "resource",
    [
        person(2, generalPractitioner=[{"reference": "Practitioner/ada"}]),
        {"resourceType": "CareTeam", "id": "c", "subject": {"reference": "Patient/p2"}, "participant": [{"member": {"reference": "Practitioner/ada"}}]},
        {"resourceType": "EpisodeOfCare", "id": "c", "status": "active", "patient": {"reference": "Patient/p2"}, "careManager": {"reference": "Practitioner/ada"}},
        visit(2, "PractitionerRole/r"),
    ],
    ids=lambda each: each["resourceType"],
)
def test_a_relation_is_made_by_a_visit_a_team_an_episode_or_a_general_practitioner(charts: Repository, operator: Scope, resource: dict[str, Any]) -> None:
    fill(charts, operator, [{"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "Practitioner/ada"}}, resource])
    assert seen(charts, ADA, "Observation", "o2")
    assert not seen(charts, JON, "Observation", "o2")


@pytest.mark.conformance("Access", "nobody makes themselves a treating person: who does not treat can neither write the visit nor be counted for it")
def test_nobody_makes_themselves_a_treating_person(charts: Repository) -> None:
    with pytest.raises(Forbidden):
        charts.create(JON, {name: value for name, value in visit(1, "Practitioner/jon").items() if name != "id"})
    with pytest.raises((NotFound, MethodNotAllowed)):
        charts.update(JON, "Encounter", "e1", visit(1, "Practitioner/jon"))
    with pytest.raises(Forbidden):
        charts.create(JON, {name: value for name, value in pulse(1).items() if name != "id"})
    assert not seen(charts, JON, "Observation", "o1")
    # Who treats calls in whom they need.
    charts.update(ADA, "Encounter", "e1", {**visit(1), "participant": [{"individual": {"reference": f"Practitioner/{who}"}} for who in ("ada", "jon")]})
    assert seen(charts, JON, "Observation", "o1")


@pytest.mark.conformance("Access", "a coder reads the notes of open and own coding tasks, no others; a Task rewritten by a coder hands out nothing")
def test_a_coder_reads_the_notes_of_open_and_own_tasks(charts: Repository, operator: Scope) -> None:
    assert not seen(charts, CASEY, "DocumentReference", "d1")
    fill(charts, operator, [task(1)])
    assert seen(charts, CASEY, "DocumentReference", "d1")
    assert seen(charts, ROBIN, "DocumentReference", "d1")
    charts.update(CASEY, "Task", "t1", task(1, owner={"reference": "Practitioner/casey"}, status="in-progress"))
    assert seen(charts, CASEY, "DocumentReference", "d1")
    assert not seen(charts, ROBIN, "DocumentReference", "d1")
    stolen = {**task(1, owner={"reference": "Practitioner/casey"}), "for": {"reference": "Patient/p2"}, "input": task(2)["input"]}
    charts.update(CASEY, "Task", "t1", stolen)
    assert not seen(charts, CASEY, "DocumentReference", "d2")
    charts.update(operator, "Task", "t1", task(1, status="cancelled"))
    assert not seen(charts, CASEY, "DocumentReference", "d1")
    assert seen(charts, CASEY, "Observation", "o1")


@pytest.mark.conformance("Attacks", "22: a row without a patient is nobody's to treat")
def test_a_row_without_a_patient_is_closed_to_those_who_treat(charts: Repository, operator: Scope) -> None:
    fill(charts, operator, [{name: value for name, value in pulse(3).items() if name != "subject"}])
    assert not seen(charts, ADA, "Observation", "o3")
    assert seen(charts, Scope(Subject("x", "clinician", scopes=("system/*.cruds",)), "test"), "Observation", "o3")


@pytest.mark.conformance("Access", "what was stored before there were grants makes them when the store is opened")
def test_what_was_stored_before_there_were_grants_makes_them(charts: Repository, store: Store, make_store: Callable[[Database], Store]) -> None:
    with store.db.read() as session:
        before = sorted(session.all("SELECT kind, patient, actor, source FROM access_grant"))
    store.db.write(lambda tx: tx.run("DELETE FROM access_grant"))
    assert not seen(charts, ADA, "Observation", "o1")
    make_store(store.db)
    assert seen(charts, ADA, "Observation", "o1")
    with store.db.read() as session:
        assert sorted(session.all("SELECT kind, patient, actor, source FROM access_grant")) == before
