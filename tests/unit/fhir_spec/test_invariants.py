"""Every invariant of R4 is evaluated where it stands; what is broken says so in the words of the specification."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chartloop.kernel.errors import Unprocessable
from fhir_server.fhirpath import engine
from fhir_server.spec.definitions import r4
from fhir_server.validation.invariants import invariant_issues, invariants_of
from fhir_server.validation.published import CORRECTIONS, HOLD_WHEN_EMPTY, REMARKS
from fhir_server.validation.resources import validate

OBSERVATION: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "1"}]}}
UCUM = "http://unitsofmeasure.org"
CONDITION: dict[str, Any] = {"resourceType": "Condition", "subject": {"reference": "Patient/1"}}
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
ORGANIZATION: dict[str, Any] = {"resourceType": "Organization", "name": "A"}

BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("ele-1", "Patient.name[0]", {"resourceType": "Patient", "name": [{"id": "a"}]}),
    ("ele-1", "Patient.birthDate", {"resourceType": "Patient", "_birthDate": {"id": "a"}}),
    ("ele-1", "Patient.name[0].given[0]", {"resourceType": "Patient", "name": [{"given": [None, "B"], "_given": [{"id": "a"}, None]}]}),
    ("obs-3", "Observation.referenceRange[0]", {**OBSERVATION, "referenceRange": [{"appliesTo": [{"text": "x"}]}]}),
    ("obs-6", "Observation", {**OBSERVATION, "valueString": "a", "dataAbsentReason": {"text": "x"}}),
    ("obs-7", "Observation", {**OBSERVATION, "valueString": "a", "component": [{"code": OBSERVATION["code"], "valueString": "b"}]}),
    ("qty-3", "Observation.value", {**OBSERVATION, "valueQuantity": {"value": 1, "code": "kg"}}),
    ("age-1", "Condition.onset", {**CONDITION, "onsetAge": {"value": -1, "code": "a", "system": UCUM}}),
    ("per-1", "Observation.effective", {**OBSERVATION, "effectivePeriod": {"start": "2020-02-01", "end": "2020-01-01"}}),
    ("per-1", "Observation.effective", {**OBSERVATION, "effectivePeriod": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-01T00:30:00+01:00"}}),
    ("rng-2", "Observation.value", {**OBSERVATION, "valueRange": {"low": {"value": 2}, "high": {"value": 1}}}),
    ("rat-1", "Observation.value", {**OBSERVATION, "valueRatio": {"numerator": {"value": 1}}}),
    ("att-1", "Patient.photo[0]", {"resourceType": "Patient", "photo": [{"data": "YWJj"}]}),
    ("cpt-2", "Patient.telecom[0]", {"resourceType": "Patient", "telecom": [{"value": "1"}]}),
    ("con-4", "Condition", {**CONDITION, "abatementString": "over", "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]}}),
    ("con-1", "Condition.stage[0]", {**CONDITION, "stage": [{"type": {"text": "x"}}], "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]}}),
    ("org-1", "Organization", {"resourceType": "Organization", "active": True}),
    ("org-2", "Organization.address[0]", {**ORGANIZATION, "address": [{"use": "home", "city": "B"}]}),
    ("org-3", "Organization.telecom[1]", {**ORGANIZATION, "telecom": [{"system": "phone", "value": "1"}, {"system": "phone", "value": "2", "use": "home"}]}),
    ("tim-2", "ServiceRequest.occurrence.repeat", {"resourceType": "ServiceRequest", "status": "draft", "intent": "plan", "subject": {"reference": "Patient/1"}, "occurrenceTiming": {"repeat": {"period": 1}}}),
    ("ref-1", "Observation.subject", {**OBSERVATION, "subject": {"reference": "#p"}}),
    ("dom-3", "Observation", {**OBSERVATION, "contained": [{"resourceType": "Patient", "id": "p"}]}),
    ("dom-5", "Observation", {**OBSERVATION, "subject": {"reference": "#p"}, "contained": [{"resourceType": "Patient", "id": "p", "meta": {"security": [{"code": "R"}]}}]}),
    ("bdl-3", "Bundle", {"resourceType": "Bundle", "type": "collection", "entry": [{"request": {"method": "GET", "url": "x"}}]}),
    ("bdl-7", "Bundle", {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "http://x/P/1", "resource": {"resourceType": "Patient"}}] * 2}),
    ("bdl-11", "Bundle", {"resourceType": "Bundle", "type": "document", "identifier": {"system": "urn:a", "value": "1"}, "timestamp": "2020-01-01T00:00:00Z"}),
    ("que-2", "Questionnaire", {"resourceType": "Questionnaire", "status": "draft", "item": [{"linkId": "1", "type": "string"}] * 2}),
    ("que-7", "Questionnaire.item[0].enableWhen[0]", {"resourceType": "Questionnaire", "status": "draft", "item": [{"linkId": "1", "type": "string", "enableWhen": [{"question": "2", "operator": "exists", "answerString": "x"}]}]}),
    ("vsd-9", "ValueSet.expansion.contains[0]", {"resourceType": "ValueSet", "status": "draft", "expansion": {"timestamp": "2020", "contains": [{"display": "x"}]}}),
    ("ctm-1", "CareTeam.participant[0]", {"resourceType": "CareTeam", "participant": [{"member": {"reference": "Patient/1"}, "onBehalfOf": {"reference": "Organization/1"}}]}),
    ("qty-3", "Patient.extension[0].value", {"resourceType": "Patient", "extension": [{"url": "urn:a", "valueQuantity": {"value": 1, "code": "kg"}}]}),
    ("pat-1", "Bundle.entry[0].resource.contact[0]", {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Patient", "contact": [{"gender": "male"}]}}]}),
]  # fmt: skip


@pytest.mark.conformance("FHIR R4: validation", "broken invariants of the base specification are refused with key, words and place")
@pytest.mark.parametrize(("key", "place", "resource"), BROKEN, ids=[f"{key} {place}" for key, place, _ in BROKEN])
def test_a_broken_invariant_is_refused_with_its_key_and_place(key: str, place: str, resource: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable) as refused:
        validate(json.dumps(resource).encode())
    found = [issue for issue in refused.value.issues if issue.expression == place and issue.text.startswith(f"{key}: ")]
    assert [(issue.severity, issue.code) for issue in found] == [("error", "invariant")]


HOLDING: list[dict[str, Any]] = [
    {**OBSERVATION, "subject": {"type": "Patient", "display": "Ada"}},
    {**OBSERVATION, "effectivePeriod": {"start": "2020-01-01T00:30:00+01:00", "end": "2020-01-01T00:00:00Z"}},
    {**OBSERVATION, "subject": {"reference": "#p"}, "contained": [{"resourceType": "Patient", "id": "p"}]},
    {**OBSERVATION, "valueRange": {"low": {"value": 900, "code": "g", "system": UCUM}, "high": {"value": 1, "code": "kg", "system": UCUM}}},
    {"resourceType": "Patient", "birthDate": "2000-01-01", "_birthDate": {"id": "a"}},
    {"resourceType": "Patient", "name": [{"given": ["A", "B"], "_given": [None, {"id": "a"}]}]},
    {"resourceType": "CareTeam", "participant": [{"member": {"reference": "Practitioner/1"}, "onBehalfOf": {"reference": "Organization/1"}}]},
    {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "http://x/Patient/1", "resource": {"resourceType": "Patient"}}, {"resource": {"resourceType": "Patient"}}]},
]  # fmt: skip


@pytest.mark.parametrize("resource", HOLDING)
def test_what_breaks_no_invariant_is_accepted(resource: dict[str, Any]) -> None:
    validated = validate(json.dumps(resource).encode())
    assert {issue.text.partition(":")[0] for issue in validated.warnings} <= {"dom-6", "the code system is not loaded"}


@pytest.mark.conformance("FHIR R4: validation", "an invariant that nobody can decide is said as information, and does not refuse the resource")
@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("per-1", {**OBSERVATION, "effectivePeriod": {"start": "2020-01-15", "end": "2020-01"}}),
        ("rng-2", {**OBSERVATION, "valueRange": {"low": {"value": 2, "unit": "spoons"}, "high": {"value": 1, "unit": "cups"}}}),
        ("ctm-1", {"resourceType": "CareTeam", "participant": [{"member": {"reference": "urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3d"}, "onBehalfOf": {"reference": "Organization/1"}}]}),
    ],
)  # fmt: skip
def test_what_nobody_can_decide_is_said_as_information(key: str, resource: dict[str, Any]) -> None:
    validated = validate(json.dumps(resource).encode())
    said = {issue.text.partition(":")[0]: (issue.severity, issue.code) for issue in validated.warnings}
    assert said[key] == ("information", "incomplete")


def test_a_warning_of_the_specification_stays_a_warning() -> None:
    codes = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "problem-list-item"}]}
    said = {issue.text.partition(":")[0]: issue.severity for issue in invariant_issues({**CONDITION, "category": [codes]})}
    assert said == {"con-3": "warning", "dom-6": "warning"}
    assert {issue.text.partition(":")[0] for issue in invariant_issues({**CONDITION, "category": [{"text": "x"}]})} == {"dom-6"}


def test_broken_invariants_are_said_beside_errors_of_the_structure_elsewhere() -> None:
    with pytest.raises(Unprocessable) as refused:
        validate(b'{"resourceType":"Patient","gender":"x","contact":[{"gender":"male"}],"photo":"x"}')
    assert [issue.expression for issue in refused.value.issues] == ["Patient.gender", "Patient.photo", "Patient.contact[0]"]


def test_every_published_expression_compiles() -> None:
    keys = {each.constraint.key for node in r4().nodes() for each in invariants_of(node)}
    assert len(keys) > 180
    for fact in r4().search_parameters:
        if fact.expression:
            engine.compile(fact.expression, published=True)


def test_what_is_known_of_published_invariants_names_invariants_that_exist() -> None:
    keys = {each.key for path in r4().constrained_paths for each in r4().constraints(path)}
    assert keys >= CORRECTIONS.keys() | REMARKS.keys() | HOLD_WHEN_EMPTY
