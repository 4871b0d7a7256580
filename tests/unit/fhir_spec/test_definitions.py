"""The R4 facts that travel with the server."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

import msgspec
import pytest
import zstandard

from fhir_server.indexing.expressions import Step, branches, parse_branch
from fhir_server.spec.definitions import r4


@pytest.mark.conformance("What must be real underneath", "FHIR: all 146 resource types of R4")
def test_all_resource_types_of_r4_are_known():
    types = r4().resource_types
    assert len(types) == 146
    assert {"Patient", "Bundle", "Parameters", "Binary", "VisionPrescription"} <= set(types)
    assert not {"Resource", "DomainResource", "HumanName"} & set(types)
    assert list(types) == sorted(types)


@pytest.mark.conformance("What must be real underneath", "FHIR: the facts hold cardinality, types, reference targets, bindings and compartments")
def test_an_element_knows_cardinality_type_targets_and_codes():
    elements = {element.name: element for element in r4().elements("Observation")}
    assert (elements["status"].required, elements["status"].many, elements["status"].types) == (True, False, ("code",))
    assert "entered-in-error" in elements["status"].value_set.flat()
    assert elements["subject"].targets == ("Device", "Group", "Location", "Patient")
    assert elements["value[x]"].json_types()["valueQuantity"] == "Quantity"
    assert elements["component"].node == "Observation.component"


def test_an_element_may_have_the_content_of_another():
    [item] = [element for element in r4().elements("Questionnaire.item") if element.name == "item"]
    assert item.node == "Questionnaire.item"


def test_value_sets_that_nobody_can_list_have_no_codes():
    [content_type] = [element for element in r4().elements("Attachment") if element.name == "contentType"]
    assert content_type.value_set.codes is None


def test_a_reference_to_anything_has_no_targets():
    [focus] = [element for element in r4().elements("Observation") if element.name == "focus"]
    assert focus.targets == ()


@pytest.mark.conformance("What must be real underneath", "FHIR: the facts hold cardinality, types, reference targets, bindings and compartments")
def test_the_patient_compartment_names_its_parameters():
    assert r4().compartment("Patient")["Observation"] == ("subject", "performer")


def _facts(value: object) -> Iterator[tuple[str, str]]:
    """Every key and every string of the facts, with the kind of thing it is."""
    if isinstance(value, str):
        yield "text", value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield "key", key
            yield from _facts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _facts(inner)


@pytest.mark.conformance("What must be real underneath", "FHIR: the facts hold no prose and are about 100 KB compressed")
def test_the_facts_hold_no_prose_but_the_words_of_constraints():
    packed = resources.files("fhir_server.spec").joinpath("r4.zst").read_bytes()
    assert len(packed) < 150_000
    facts = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))
    assert set(facts) == {"about", "codeSystems", "compartments", "constrained", "constraints", "searchIds", "searchParameters", "targets", "types", "valueSets"}
    assert {key for fact in facts["types"].values() for key in fact} == {"kind", "abstract", "base", "nodes"}
    expressions = {parameter[4] for parameter in facts["searchParameters"]}
    expressions |= {component[3] for parameter in facts["searchParameters"] for component in (parameter[5] if len(parameter) > 5 else ())}
    del facts["constraints"]
    words = [text for kind, text in _facts(facts) if kind == "key" or text not in expressions]
    assert [text for text in words if " " in text or len(text) > 90] == []


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Patient.name.family", (Step("child", "Patient"), Step("child", "name"), Step("child", "family"))),
        ("(Observation.value as Quantity)", (Step("child", "Observation"), Step("child", "value"), Step("as", "Quantity"))),
        (
            "(Observation.value as CodeableConcept).text",
            (Step("child", "Observation"), Step("child", "value"), Step("as", "CodeableConcept"), Step("child", "text")),
        ),
        ("Condition.onset.as(dateTime)", (Step("child", "Condition"), Step("child", "onset"), Step("as", "dateTime"))),
        ("Patient.telecom.where(system='email')", (Step("child", "Patient"), Step("child", "telecom"), Step("where", "system", "email"))),
        ("Observation.subject.where(resolve() is Patient)", (Step("child", "Observation"), Step("child", "subject"), Step("resolve", "Patient"))),
        ("Bundle.entry[0].resource", (Step("child", "Bundle"), Step("child", "entry"), Step("index", "0"), Step("child", "resource"))),
        ("Patient.deceased.exists() and Patient.deceased != false", (Step("child", "Patient"), Step("child", "deceased"), Step("true"))),
        ("Patient.name.matches('x')", None),
    ],
)
def test_expressions_are_parsed(text, steps):
    assert parse_branch(text) == steps


def test_unions_split_at_the_top_only():
    assert branches("A.b | (A.c as D) | A.e.where(x='y')") == ["A.b", "(A.c as D)", "A.e.where(x='y')"]
