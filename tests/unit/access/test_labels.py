"""The labelling service: literal resources in, labels out."""

from __future__ import annotations

import base64

import pytest

from chartloop.kernel.access.labels import CODES, LABELS
from fhir_server.labels.rules import load
from fhir_server.labels.service import LabelService

SERVICE = LabelService()
ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def concept(system: str, code: str) -> dict:
    return {"coding": [{"system": system, "code": code}]}


def note(**more: object) -> dict:
    return {"resourceType": "DocumentReference", "status": "current", **more}


def text(words: str, title: str = "Note") -> list:
    return [{"attachment": {"contentType": "text/plain; charset=utf-8", "title": title, "data": base64.b64encode(words.encode()).decode()}}]


@pytest.mark.conformance("Access", "labels: psychiatry, substance use, HIV, violence by ICD-10-CM and SNOMED CT codes")
@pytest.mark.parametrize(
    ("system", "code", "labels"),
    [
        (ICD, "F32.1", {"PSY"}),
        (ICD, "F41.1", {"PSY"}),
        (ICD, "R45.851", {"PSY"}),
        (ICD, "F17.210", set()),
        (ICD, "F03.90", set()),
        (ICD, "F52.21", set()),
        (ICD, "F10.20", {"ETH"}),
        (ICD, "F11.20", {"ETH"}),
        (ICD, "B20", {"HIV"}),
        (ICD, "Z21", {"HIV"}),
        (ICD, "T74.21XA", {"SDV"}),
        (ICD, "I10", set()),
        (ICD, "E11.9", set()),
        ("urn:oid:2.16.840.1.113883.6.90", "F32.1", {"PSY"}),
        ("http://example.org/own", "F32.1", set()),
        ("http://snomed.info/sct", "35489007", {"PSY"}),
        ("http://snomed.info/sct", "55680006", {"ETH"}),
        ("http://snomed.info/sct", "86406008", {"HIV"}),
        ("http://snomed.info/sct", "38341003", set()),
    ],
)
def test_a_condition_is_labelled_by_its_code(system, code, labels):
    assert SERVICE.labels("Condition", {"resourceType": "Condition", "code": concept(system, code)}) == labels


@pytest.mark.conformance("Access", "labels: a psychiatric note by its LOINC type, its setting or its words; a general note is not labelled")
@pytest.mark.parametrize("code", ["34788-0", "28627-8", "28635-4", "34786-4", "18594-2"])
def test_a_psychiatric_note_is_labelled_by_its_type(code):
    assert SERVICE.labels("DocumentReference", note(type=concept("http://loinc.org", code))) == {"PSY"}


@pytest.mark.conformance("Access", "labels: a psychiatric note by its LOINC type, its setting or its words; a general note is not labelled")
@pytest.mark.parametrize("code", ["11488-4", "11506-3", "34133-9", "34117-2", "18842-5", "28655-9"])
def test_a_general_note_is_not(code):
    assert SERVICE.labels("DocumentReference", note(type=concept("http://loinc.org", code), content=text("Depression in the family. Denies HIV."))) == set()


@pytest.mark.conformance("Access", "labels: a psychiatric note by its LOINC type, its setting or its words; a general note is not labelled")
def test_a_note_is_labelled_by_the_setting_it_was_written_in():
    assert SERVICE.labels("DocumentReference", note(context={"practiceSetting": concept("http://snomed.info/sct", "394587001")})) == {"PSY"}
    assert SERVICE.labels("DocumentReference", note(category=[concept("http://terminology.hl7.org/CodeSystem/service-category", "22")])) == {"PSY"}


@pytest.mark.conformance("Access", "labels: a psychiatric note by its LOINC type, its setting or its words; a general note is not labelled")
def test_words_add_a_label_in_title_or_opening():
    assert SERVICE.labels("DocumentReference", note(content=text("…", title="Psychotherapy note"))) == {"PSYTHPN"}
    assert SERVICE.labels("DocumentReference", note(content=text("These records are protected by 42 CFR Part 2."))) == {"ETH"}
    assert SERVICE.labels("DocumentReference", note(content=text("x" * 5000 + " 42 CFR Part 2"))) == set()


@pytest.mark.parametrize("data", ["%%%", "AAA", "", 7])
def test_data_that_is_no_base64_says_nothing(data):
    broken = note(content=[{"attachment": {"contentType": "text/plain", "data": data}}, {"attachment": None}, 3])
    assert SERVICE.labels("DocumentReference", broken) == set()


@pytest.mark.conformance("Attacks", "49: a label that a client states counts and an unknown one does not")
def test_a_label_that_a_client_states_counts_and_an_unknown_one_does_not():
    meta = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}, {"system": "http://example.org", "code": "PSY"}, {"code": "NOPE"}]}
    assert SERVICE.labels("Observation", {"resourceType": "Observation", "meta": meta}) == {"HIV"}


@pytest.mark.conformance("Attacks", "18: a labelled contained resource labels what contains it")
def test_contained_resources_and_bundle_entries_count():
    condition = {"resourceType": "Condition", "code": concept(ICD, "F32.1")}
    assert SERVICE.labels("Claim", {"resourceType": "Claim", "contained": [condition]}) == {"PSY"}
    assert SERVICE.labels("Bundle", {"resourceType": "Bundle", "entry": [{"resource": condition}, {"fullUrl": "x"}]}) == {"PSY"}
    assert SERVICE.labels("Task", {"resourceType": "Task", "contained": [condition]}) == {"PSY"}


@pytest.mark.conformance("Access", "labels: a Claim by its diagnosis and procedure codes")
def test_a_claim_is_labelled_by_its_codes():
    claim = {"resourceType": "Claim", "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": concept(ICD, "F32.1")}]}
    assert SERVICE.labels("Claim", claim) == {"PSY"}
    visit = {"resourceType": "Claim", "item": [{"productOrService": concept("http://www.ama-assn.org/go/cpt", "90837")}]}
    assert SERVICE.labels("Claim", visit) == {"PSY"}


STORED = {"DocumentReference/1": frozenset({"PSY"}), "DocumentReference/2": frozenset[str](), "Observation/3": frozenset({"HIV"})}


def lookup(reference: str) -> frozenset[str]:
    return STORED.get(reference, frozenset())


@pytest.mark.conformance("Access", "labels: what a resource was made of hands its labels on")
@pytest.mark.conformance("Attacks", "26: Tasks, Provenance and Binary inherit the labels of the note they speak of")
@pytest.mark.conformance("Attacks", "58: a Binary inherits the labels of its securityContext")
@pytest.mark.parametrize(
    ("resource", "labels"),
    [
        ({"resourceType": "Task", "input": [{"valueReference": {"reference": "DocumentReference/1"}}]}, {"PSY"}),
        ({"resourceType": "Task", "input": [{"valueReference": {"reference": "DocumentReference/2"}}, {"valueCoding": {"system": ICD, "code": "F32.1"}}]}, set()),
        (
            {"resourceType": "Task", "input": [{"extension": [{"url": "s", "extension": [{"url": "note", "valueReference": {"reference": "DocumentReference/1"}}]}]}]},
            {"PSY"},
        ),
        ({"resourceType": "Provenance", "entity": [{"what": {"reference": "DocumentReference/1"}}]}, {"PSY"}),
        ({"resourceType": "RiskAssessment", "basis": [{"reference": "Observation/3"}, {"reference": "DocumentReference/1"}]}, {"HIV", "PSY"}),
        ({"resourceType": "Binary", "securityContext": {"reference": "DocumentReference/1"}}, {"PSY"}),
        ({"resourceType": "Composition", "section": [{"section": [{"entry": [{"reference": "Observation/3"}]}]}]}, {"HIV"}),
        ({"resourceType": "DiagnosticReport", "result": [{"reference": "Observation/3"}]}, {"HIV"}),
        ({"resourceType": "Encounter", "basedOn": [{"reference": "DocumentReference/1"}]}, set()),
    ],
)
def test_what_a_resource_was_made_of_hands_its_labels_on(resource, labels):
    assert SERVICE.labels(resource["resourceType"], resource, lookup) == labels


def test_the_references_that_hand_labels_on_are_named_once():
    task = {"input": [{"valueReference": {"reference": "DocumentReference/1"}}, {"valueReference": {"reference": "DocumentReference/1"}}, {"valueReference": {"display": "x"}}]}
    assert SERVICE.inherited_references("Task", task) == ("DocumentReference/1",)


def test_every_label_has_a_number_of_its_own():
    assert len(CODES) == len(LABELS)
    assert all(0 < number < 32767 for number in CODES)


@pytest.mark.parametrize(("old", "new"), [('label = "HIV"', 'label = "AIDS"'), ('system = "loinc"', 'system = "loink"')])
def test_a_rule_with_a_mistake_is_refused(tmp_path, old, new):
    from fhir_server.labels.rules import SHIPPED

    path = tmp_path / "rules.toml"
    path.write_text(SHIPPED.read_text().replace(old, new))
    with pytest.raises(ValueError, match="unknown"):
        load(path)


def test_a_suggested_code_on_a_task_inside_a_bundle_labels_neither():
    task = {"resourceType": "Task", "input": [{"valueCoding": {"system": ICD, "code": "F32.1"}}]}
    assert SERVICE.labels("Bundle", {"resourceType": "Bundle", "entry": [{"resource": task}]}) == set()
