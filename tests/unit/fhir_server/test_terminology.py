"""R4's own codes as a terminology, several terminologies as one, and value sets composed of others."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from fhir_server.search.composing import Composing, Unanswerable
from fhir_server.search.terminology import NoTerminology, Terminologies
from fhir_server.spec.code_facts import code_facts
from fhir_server.spec.codes import R4Codes
from fhir_server.spec.generate_codes import compress
from fhir_server.spec.package import read_package

R4 = R4Codes()
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@pytest.mark.corpus
def test_the_codes_file_is_made_of_the_package(corpus: Path) -> None:
    made = compress(code_facts(read_package(corpus / "fhir" / "r4-core-4.0.1.tar.xz")))
    assert made == resources.files("fhir_server.spec").joinpath("codes.zst").read_bytes()


def test_r4_knows_its_own_hierarchies() -> None:
    assert R4.below("http://hl7.org/fhir/observation-status", "amended") == {"amended", "corrected"}
    assert R4.above("http://hl7.org/fhir/observation-status", "corrected") == {"amended", "corrected"}
    assert R4.below("http://hl7.org/fhir/administrative-gender", "male") == {"male"}
    assert {"AMB", "_ActEncounterCode", "IMP", "ACUTE"} <= (R4.below(ACT, "_ActEncounterCode") or set())
    assert R4.below("http://hl7.org/fhir/administrative-gender", "x") is None
    assert R4.above("http://loinc.org", "8302-2") is None


def test_r4_knows_its_own_value_sets() -> None:
    gender = {"http://hl7.org/fhir/administrative-gender": {"male", "female", "other", "unknown"}}
    for version in ("", "|4.0.1"):
        assert R4.expand(f"http://hl7.org/fhir/ValueSet/administrative-gender{version}") == gender
    assert R4.expand("http://hl7.org/fhir/ValueSet/administrative-gender|3.0.0") is None
    assert R4.expand("http://hl7.org/fhir/ValueSet/observation-codes") == {"http://loinc.org": None}
    assert R4.expand("http://hl7.org/fhir/ValueSet/clinical-findings") is None
    assert R4.expand("http://hl7.org/fhir/ValueSet/none") is None


def test_the_first_that_knows_answers() -> None:
    both = Terminologies([NoTerminology(), R4])
    assert both.below("http://hl7.org/fhir/administrative-gender", "male") == both.above("http://hl7.org/fhir/administrative-gender", "male") == {"male"}
    assert both.expand("http://hl7.org/fhir/ValueSet/administrative-gender") is not None
    assert NoTerminology().expand("http://a.example") is NoTerminology().below("a", "b") is NoTerminology().above("a", "b") is None


@pytest.mark.parametrize(
    ("include", "exclude", "codes"),
    [
        ([{"system": "a", "concept": [{"code": "1"}, {"code": "2"}]}, {"system": "b"}], [{"system": "a", "concept": [{"code": "1"}]}], {"a": {"2"}, "b": None}),
        ([{"system": "a", "concept": [{"code": "1"}]}, {"system": "a"}], [], {"a": None}),
        ([{"system": "a"}, {"system": "b"}], [{"system": "a"}], {"b": None}),
        ([{"valueSet": ["http://hl7.org/fhir/ValueSet/administrative-gender"], "system": "a"}], [], {}),
        ([{"system": ACT, "filter": [{"property": "concept", "op": "descendent-of", "value": "_ActEncounterCode"}, {"property": "concept", "op": "is-a", "value": "ACUTE"}]}],
         [], {ACT: {"ACUTE"}}),
    ],
)  # fmt: skip
def test_a_value_set_is_composed(include: list[object], exclude: list[object], codes: dict[str, set[str] | None]) -> None:
    composing = Composing(R4, lambda url: {"compose": {"include": include, "exclude": exclude}} if url == "x" else None)
    assert composing.codes("x") == codes


@pytest.mark.parametrize(
    "rule",
    [{"property": "concept", "op": "is-not-a", "value": "IMP"}, {"property": "status", "op": "=", "value": "active"}, {"property": "concept", "op": "is-a", "value": "none"}],
)
def test_a_filter_that_nobody_can_tell_is_refused(rule: dict[str, str]) -> None:
    composing = Composing(R4, lambda _: {"compose": {"include": [{"system": ACT, "filter": [rule]}]}})
    with pytest.raises(Unanswerable, match=ACT):
        composing.codes("x")


def test_a_value_set_without_content_is_not_known() -> None:
    with pytest.raises(Unanswerable, match="value set x"):
        Composing(R4, lambda _: {"resourceType": "ValueSet"}).codes("x")
