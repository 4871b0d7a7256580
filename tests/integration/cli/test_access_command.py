"""`chartloop access`: a decision explained, labels explained, a relation declared; recorded, and without a word of a record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chartloop.app import open_door, open_kernel
from chartloop.cli.main import run
from chartloop.cli.options import settings_of
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
NOTE = {
    "resourceType": "DocumentReference", "id": "n", "status": "current", "subject": {"reference": "Patient/p"}, "description": "secret words",
    "type": {"coding": [{"system": "http://loinc.org", "code": "34788-0"}]},
    "content": [{"attachment": {"contentType": "text/plain", "data": "c2VjcmV0"}}],
}  # fmt: skip
CLAIM = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "secret"}, "subject": {"reference": "Patient/p"}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    with open_kernel(settings_of(folder)) as kernel:
        repository = open_door(kernel).repository
        operator = Scope(Subject("setup", "operator", scopes=("system/*.cruds",)), "update")
        plain = {**NOTE, "id": "plain", "type": {"coding": [{"system": "http://loinc.org", "code": "11488-4"}]}}
        for resource in ({"resourceType": "Patient", "id": "p"}, NOTE, plain, CLAIM):
            repository.update(operator, resource["resourceType"], resource["id"], resource)
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["access", *arguments]) == 0
    text = capsys.readouterr().out
    assert "secret" not in text
    return text


@pytest.mark.long
@pytest.mark.conformance("Command line", "access explain names the policies that permit and forbid, what they looked at, and what is hidden by which")
def test_a_decision_is_explained(data, capsys):
    denied = json.loads(said(capsys, "explain", "--data", str(data), "--subject", "clinician:Practitioner/ada", "--resource", "DocumentReference/n", "--json"))
    assert denied["why"]["permitted"] is False
    assert denied["why"]["forbids"] == ["charts-are-for-those-who-treat", "labelled-rows-are-closed"]
    assert denied["labels"] == ["PSY"]
    shown = said(capsys, "explain", "--data", str(data), "--subject", "billing-administrator", "--resource", "DocumentReference/plain")
    assert "permits: billing-sees-that-notes-exist, elements of note-metadata" in shown
    assert "hidden by billing-sees-that-notes-exist: content.attachment.data" in shown
    assert "hidden by billing-sees-that-notes-exist: description" in shown
    assert "no policy speaks of it" in said(capsys, "explain", "--data", str(data), "--subject", "researcher", "--resource", "Patient/p")
    assert "scopes do not reach" in said(capsys, "explain", "--data", str(data), "--subject", "clinician", "--resource", "Observation/o", "--scope", "user/Patient.r")


@pytest.mark.long
@pytest.mark.conformance("Command line", "access explain says of a row that a scope with search parameters closes which one it is, and what it asks for")
def test_a_scope_with_search_parameters_says_why_it_closes_a_row(data, capsys):
    def asked(scope, *more):
        return said(capsys, "explain", "--data", str(data), "--subject", "clinician", "--resource", "Observation/o", "--scope", scope, *more)

    assert "read Observation/o: permitted" in asked("user/Observation.rs?status=final")
    assert "permits: clinicians-read-the-chart" in asked("user/Observation.rs?status=final")
    denied = asked("user/Observation.rs?status=preliminary user/Patient.rs?gender=female")
    assert "read Observation/o: denied" in denied
    assert "user/Observation.rs?status=preliminary: it asks for status=preliminary, which this row does not have" in denied
    assert "gender" not in denied
    assert "it grants nothing" in asked("user/Observation.rs?date=ge2020")
    assert "grant reading and searching alone" in asked("user/Observation.cruds?status=final", "--action", "update")
    assert "which this row" not in asked("patient/Observation.rs?status=final", "--patient", "another")


@pytest.mark.conformance("Command line", "access labels says which rule and which element labelled a resource, and no word of it")
def test_labels_are_explained(data, capsys):
    assert said(capsys, "labels", "--data", str(data), "--patient", "p").splitlines() == [
        "DocumentReference/n: PSY", "  PSY: loinc 34788-0 at DocumentReference.type.coding[0]", "1 labelled resources",
    ]  # fmt: skip
    assert json.loads(said(capsys, "labels", "--data", str(data), "--patient", "other", "--json")) == []


@pytest.mark.long
@pytest.mark.conformance("Command line", "access relate declares who treats whom, and takes it back")
def test_a_relation_is_declared_and_taken_back(data, capsys):
    asking = ("explain", "--data", str(data), "--subject", "clinician:Practitioner/ada", "--resource", "Observation/o", "--json")
    assert not json.loads(said(capsys, *asking))["why"]["permitted"]
    said(capsys, "relate", "--data", str(data), "--patient", "p", "--user", "Practitioner/ada", "--days", "1")
    found = json.loads(said(capsys, *asking))["why"]
    assert (found["permitted"], found["facts"]) == (True, ["treated"])
    said(capsys, "rebuild", "--data", str(data))
    assert json.loads(said(capsys, *asking))["why"]["permitted"]
    said(capsys, "relate", "--data", str(data), "--patient", "p", "--user", "Practitioner/ada")
    assert not json.loads(said(capsys, *asking))["why"]["permitted"]


@pytest.mark.parametrize("change", [("--subject", "doctor"), ("--action", "peek"), ("--resource", "Observation/absent"), ("--resource", "Nonsense/1")])
def test_what_does_not_exist_is_told(data, capsys, change):
    arguments = {"--subject": "clinician", "--action": "read", "--resource": "Observation/o", change[0]: change[1]}
    assert run(["access", "explain", "--data", str(data), *(part for pair in arguments.items() for part in pair)]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err
