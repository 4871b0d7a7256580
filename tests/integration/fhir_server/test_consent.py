"""Consents over the door: written by whom they count of, in force from the next request on, and gone from the next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import ChartloopError, Forbidden
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.audited import recorded_changes
from tests.integration.fhir_server.conftest import fill, scope
from tests.integration.fhir_server.test_care import ADA, JON, note, person, pulse, visit
from tests.integration.fhir_server.test_http import Api

SCOPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
ANNA = scope("patient", user="Patient/p1", patient="Patient/p1")
BERT = scope("patient", user="Patient/p2", patient="Patient/p2")
OFFICER = scope("privacy-officer", user="Practitioner/officer")
BOTH = {"participant": [{"individual": {"reference": f"Practitioner/{who}"}} for who in ("ada", "jon")]}
NOT_JON = {"type": "deny", "actor": [{"role": {"text": "x"}, "reference": {"reference": "Practitioner/jon"}}]}


def consent(provision: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Consent", "status": "active", "scope": SCOPE, "category": [{"text": "privacy"}], "patient": {"reference": "Patient/p1"},
        "performer": [{"reference": "Patient/p1"}], "policy": [{"uri": "urn:policy"}], "provision": provision, **more,
    }  # fmt: skip


def found(charts: Repository, who: Scope) -> list[str]:
    """What somebody finds of Anna's chart: by search, with a total, and resource by resource; all say the same."""
    page = charts.search(who, "Observation", "_total=accurate&_sort=_id")
    assert page.total == len(page.entries)
    read = []
    for id_ in ("o1", "o2"):
        try:
            read.append(charts.read(who, "Observation", id_).id)
        except ChartloopError:
            continue
    assert read == [each.id for each in page.entries]
    return read


@pytest.fixture
def charts(repository: Repository, operator: Scope) -> Repository:
    """Ada and Jon treat Anna; Ada treats Bert."""
    return fill(repository, operator, [person(1), person(2), visit(1, **BOTH), visit(2), pulse(1), pulse(2), note(1)])


@pytest.mark.conformance("Access", "consent: a patient's denial holds from the next request on, and its end from the one after that")
@pytest.mark.conformance("Attacks", "67: a Consent withdrawn is withdrawn for the next read, search, total and $everything")
def test_a_denial_holds_from_the_next_request_on_and_its_end_too(charts: Repository) -> None:
    assert (found(charts, ADA), found(charts, JON)) == (["o1", "o2"], ["o1"])
    written = charts.create(ANNA, consent(NOT_JON)).stored
    assert (found(charts, ADA), found(charts, JON)) == (["o1", "o2"], [])
    assert [each.id for each in charts.everything(ADA, "Patient", "p1").entries if each.type == "Observation"] == ["o1"]
    assert not [each for each in charts.everything(JON, "Patient", "p1").entries if each.type != "Patient"]
    assert found(charts, ANNA) == ["o1"]
    charts.update(ANNA, "Consent", written.id, {**consent(NOT_JON, status="inactive"), "id": written.id})
    assert found(charts, JON) == ["o1"]
    charts.update(ANNA, "Consent", written.id, {**consent(NOT_JON), "id": written.id})
    assert found(charts, JON) == []
    charts.delete(scope("operator"), "Consent", written.id)
    assert found(charts, JON) == ["o1"]


@pytest.mark.conformance("Attacks", "08: the next page follows the denial")
@pytest.mark.conformance("Attacks", "67: a page that was asked for before the denial shows nothing after it")
def test_the_next_page_follows_the_denial(charts: Repository, operator: Scope) -> None:
    fill(charts, operator, [{**pulse(1), "id": f"o1{letter}"} for letter in "abc"])
    first = charts.search(JON, "Observation", "_count=2&_sort=_id")
    assert first.next
    charts.create(ANNA, consent(NOT_JON))
    assert charts.search(JON, "Observation", first.next).entries == ()


@pytest.mark.conformance("Attacks", "67: an export that runs follows the denial")
@pytest.mark.conformance("Attacks", "56: an export that runs follows the denial")
def test_an_export_that_runs_follows_the_denial(charts: Repository, operator: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(charts, operator, [{**pulse(1), "id": f"o1{letter}"} for letter in "abc"])
    monkeypatch.setattr("fhir_server.operations.stream._PART", 1)
    running = charts.stream(JON, ["Observation"])
    assert next(running).id == "o1"
    charts.create(ANNA, consent(NOT_JON))
    assert list(running) == []


@pytest.mark.conformance("Attacks", "50: nobody writes a Consent but the patient, and who records those on paper")
def test_nobody_else_writes_a_consent_of_this_patient(charts: Repository) -> None:
    for who in (ADA, JON, BERT, scope("coder"), scope("billing-administrator"), scope("payer", user="Organization/9"), scope("integration-engine")):
        with pytest.raises(Forbidden):
            charts.create(who, consent({"type": "permit"}))
    assert charts.create(OFFICER, consent(NOT_JON)).created
    assert found(charts, JON) == []
    assert charts.search(OFFICER, "Consent", "patient=p1").entries
    with pytest.raises(Forbidden):
        charts.search(JON, "Consent", "")


@pytest.mark.conformance("Access", "consent: a part that is not understood is told as a warning, over HTTP too")
def test_a_part_that_is_not_understood_is_told(store: Store) -> None:
    api = Api(store)
    for resource in (person(1), visit(1, "Practitioner/1")):
        assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201
    unclear = consent({"type": "deny", "dataPeriod": {"end": "2020"}})
    answer = api("POST", "/fhir/Consent", unclear, Prefer="return=OperationOutcome")
    assert answer.status_code == 201
    told = [issue["expression"] for issue in json.loads(answer.data)["issue"] if (issue["severity"], issue["code"]) == ("warning", "business-rule")]
    assert told == [["Consent.provision.dataPeriod"]]


@pytest.mark.conformance("Access", "consent: an organisation that pays is denied as itself; of any other, everybody may belong to it")
def test_a_denial_of_an_organisation(charts: Repository, operator: Scope) -> None:
    kind = "http://terminology.hl7.org/CodeSystem/organization-type"
    fill(charts, operator, [
        {"resourceType": "Organization", "id": "pays", "name": "P", "type": [{"coding": [{"system": kind, "code": "pay"}]}]},
        {"resourceType": "Organization", "id": "ward", "name": "W", "type": [{"coding": [{"system": kind, "code": "dept"}]}]},
    ])  # fmt: skip

    def denied(name: str) -> dict[str, Any]:
        return {"type": "deny", "actor": [{"role": {"text": "x"}, "reference": {"reference": f"Organization/{name}"}}]}

    charts.create(ANNA, consent(denied("pays")))
    assert found(charts, JON) == ["o1"]
    charts.create(ANNA, consent(denied("ward")))
    assert found(charts, JON) == []


@pytest.mark.conformance("Access", "a denied chart opens in an emergency, and of its patient the name is always found")
def test_a_denied_chart_opens_in_an_emergency(charts: Repository) -> None:
    charts.create(ANNA, consent({"type": "deny"}))
    assert found(charts, ADA) == ["o2"]
    assert charts.read(ADA, "Patient", "p1").json()["name"] == [{"family": "Family1"}]
    session = Scope(Subject("x", "clinician", "Practitioner/ada", scopes=("system/*.cruds",), session="s"), "test")
    charts.break_glass(session, "p1", "ETREAT", "Unconscious.")
    assert found(charts, session) == ["o1", "o2"]
    assert found(charts, ADA) == ["o2"]


def test_who_may_not_see_may_not_change_either(charts: Repository) -> None:
    charts.create(ANNA, consent(NOT_JON))
    with pytest.raises(ChartloopError):
        charts.update(JON, "Observation", "o1", {**pulse(1), "status": "amended"})
    charts.update(ADA, "Observation", "o1", {**pulse(1), "status": "amended"})


@pytest.mark.conformance("Access", "a change of what a patient consents to has an audit record of its own")
def test_a_change_of_consent_is_recorded(charts: Repository, store: Store) -> None:
    written = charts.create(ANNA, consent(NOT_JON)).stored
    charts.update(ANNA, "Consent", written.id, {**consent(NOT_JON, language="en"), "id": written.id})
    said = [(each["interaction"], each["targets"]) for each in recorded_changes(store.db) if "Consent" in str(each["targets"])]
    first, second = (f"Consent/{written.id}/_history/{version}" for version in (1, 2))
    assert said == [("create", [first]), ("consent-changed", [first]), ("update", [second])]
