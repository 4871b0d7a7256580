"""Why a resource is labelled: the rule and the place, and no word of the record."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.labels.reasons import Reason, reasons
from fhir_server.labels.rules import load
from fhir_server.labels.service import LabelService
from tests.unit.access.test_labels import ICD, concept, lookup, note, text

RULES = load()
SERVICE = LabelService(RULES)
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def why(resource: dict) -> list[Reason]:
    return list(reasons(RULES, resource["resourceType"], resource, lookup))


@pytest.mark.conformance("Access", "labels: the report names the rule or code set and the element, and no word of a record")
@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"resourceType": "Condition", "code": concept(ICD, "F32.1")}, Reason("PSY", "icd10 F3*", "Condition.code.coding[0]")),
        (note(type=concept("http://loinc.org", "34788-0")), Reason("PSY", "loinc 34788-0", "DocumentReference.type.coding[0]")),
        (note(content=text("secret", title="Psychotherapy note")), Reason("PSYTHPN", "words of the title", "DocumentReference")),
        (note(content=text("42 CFR Part 2 secret")), Reason("ETH", "words of the opening", "DocumentReference")),
        ({"resourceType": "Observation", "meta": {"security": [{"system": ACT, "code": "HIV"}]}}, Reason("HIV", "stated", "Observation.meta.security[0]")),
        ({"resourceType": "Task", "input": [{}, {"valueReference": {"reference": "DocumentReference/1"}}]}, Reason("PSY", "inherited", "Task.input[1].valueReference", "DocumentReference/1")),
        ({"resourceType": "Claim", "contained": [{"resourceType": "Condition", "code": concept(ICD, "B20")}]}, Reason("HIV", "icd10 B20*", "Claim.contained[0].code.coding[0]")),
        ({"resourceType": "Claim", "item": [{"productOrService": concept("http://www.ama-assn.org/go/cpt", "90837")}]}, Reason("PSY", "cpt 9083*", "Claim.item[0].productOrService.coding[0]")),
    ],
)
def test_a_reason_names_the_rule_and_the_place(resource, reason):
    assert why(resource) == [reason]
    assert "secret" not in str(why(resource))


@pytest.mark.conformance("Access", "labels: sexual and reproductive health, and infections that pass by sex, are sets of their own")
@pytest.mark.parametrize(
    ("code", "labels"),
    [("Z30.09", {"SEX"}), ("N97.9", {"SEX"}), ("O04.5", {"SEX"}), ("Z33.2", {"SEX"}), ("Z33.1", set()), ("O80", set()), ("A54.00", {"STD"}), ("A60.01", {"STD"}), ("A41.9", set()), ("B20", {"HIV"}), ("T74.11XA", {"SDV"}), ("F11.20", {"ETH"})],
)
def test_each_kind_of_sensitive_data_has_a_set_of_its_own(code, labels):
    assert SERVICE.labels("Condition", {"resourceType": "Condition", "code": concept(ICD, code)}) == labels


def test_counselling_alone_is_psychiatry_and_not_substance_use():
    charge = {"resourceType": "ChargeItem", "code": concept("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "H0004")}
    assert SERVICE.labels("ChargeItem", charge) == {"PSY"}


codings = st.builds(concept, st.sampled_from([ICD, "http://loinc.org", "http://www.ama-assn.org/go/cpt", "urn:own"]), st.sampled_from(["F32.1", "F45.8", "B20", "Z21", "34788-0", "90837", "I10", "A54.0", "Z30.0"]))
conditions = st.builds(lambda code: {"resourceType": "Condition", "code": code}, codings)
resources = st.one_of(
    conditions,
    st.builds(lambda code, words: note(type=code, content=text(words, title=words)), codings, st.sampled_from(["Note", "Psychotherapy note", "42 CFR Part 2"])),
    st.builds(lambda part, more: {"resourceType": "Claim", "contained": [part], "diagnosis": [{"diagnosisCodeableConcept": more}]}, conditions, codings),
    st.builds(lambda number, code: {"resourceType": "Task", "code": code, "basedOn": [{"reference": f"DocumentReference/{number}"}]}, st.integers(1, 3), codings),
    st.builds(lambda part: {"resourceType": "Bundle", "entry": [{"resource": part}]}, conditions),
)


@settings(max_examples=200, deadline=None)
@given(resources)
def test_the_reasons_are_those_of_the_labels(resource):
    assert {reason.label for reason in why(resource)} == SERVICE.labels(resource["resourceType"], resource, lookup)
