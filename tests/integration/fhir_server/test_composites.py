"""Composite search on both databases: parts that are true of one group, literal resources in, literal ids out."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import fill, scope

UCUM, LOINC = "http://unitsofmeasure.org", "http://loinc.org"
PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}


def _coded(code: str, system: str = LOINC) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} if system else {"code": code}]}


def _mm(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}


def _pressure(id_: str, systolic: float, diastolic: float) -> dict[str, Any]:
    parts = [{"code": _coded(code), "valueQuantity": _mm(value)} for code, value in (("8480-6", systolic), ("8462-4", diastolic))]
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": _coded("85354-9"), "component": parts}


def _observation(id_: str, code: str, **value: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": _coded(code), **value}


def _context(id_: str, *contexts: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "id": id_, "status": "draft", "useContext": list(contexts)}


RESOURCES: list[dict[str, Any]] = [
    _pressure("high", 150, 95),
    _pressure("low", 95, 60),
    _observation("alone", "8480-6", valueQuantity=_mm(150)),
    _observation("weight", "29463-7", valueQuantity={"value": 72.5, "unit": "kg", "system": UCUM, "code": "kg"}),
    _observation("smoker", "72166-2", valueCodeableConcept={"coding": [{"system": "http://snomed.info/sct", "code": "8517006"}, {"code": "former"}]}),
    _observation("due", "11778-8", valueDateTime="2026-03-01"),
    _observation("period", "11778-8", valuePeriod={"start": "2026-04-01", "end": "2026-04-30"}),
    _observation("said", "48767-8", valueString="Fürchtet $ und, Komma"),
    {"resourceType": "Observation", "id": "mixed", "status": "final", "code": _coded("mix"), "component": [
        {"code": _coded("a", ""), "valueCodeableConcept": _coded("yes", "urn:x")}, {"code": _coded("b", ""), "valueCodeableConcept": _coded("no", "urn:x")}]},
    {"resourceType": "MolecularSequence", "id": "seq", "coordinateSystem": 0, "referenceSeq": {"genomeBuild": "GRCh37", "chromosome": _coded("1", "urn:c"), "windowStart": 10, "windowEnd": 99},
     "variant": [{"start": 20, "end": 21}, {"start": 50, "end": 59}]},
    {"resourceType": "MolecularSequence", "id": "ref", "coordinateSystem": 0, "referenceSeq": {"windowStart": 10, "windowEnd": 99,
     "referenceSeqId": _coded("NC_1", "urn:n")}, "variant": [{"start": 20, "end": 21}, {"start": 50, "end": 59}]},
    {"resourceType": "DocumentReference", "id": "new", "status": "current", "content": [{"attachment": {"title": "x"}}], "relatesTo": [
        {"code": "replaces", "target": {"reference": "DocumentReference/old"}}, {"code": "appends", "target": {"reference": "DocumentReference/other"}}]},
    {"resourceType": "Group", "id": "group", "type": "person", "actual": False, "characteristic": [
        {"code": _coded("smoker", ""), "valueBoolean": True, "exclude": False}, {"code": _coded("pregnant", ""), "valueBoolean": False, "exclude": True}]},
    _context("adults", {"code": {"system": "urn:u", "code": "age"}, "valueRange": {"low": {"value": 18, "system": UCUM, "code": "a"}}},
             {"code": {"system": "urn:u", "code": "focus"}, "valueCodeableConcept": _coded("asthma", "urn:x")}),
    _context("asthma", {"code": {"system": "urn:u", "code": "age"}, "valueQuantity": {"value": 12, "system": UCUM, "code": "a"}},
             {"code": {"system": "urn:u", "code": "venue"}, "valueCodeableConcept": _coded("asthma", "urn:x")}),
]  # fmt: skip


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """One resource for each kind of composite, some of them as decoys of each other."""
    return fill(repository, operator, RESOURCES)


@pytest.mark.conformance("FHIR R4: search", "composite parameters: all 46 definitions of R4, the parts true of one and the same group")
@pytest.mark.conformance("FHIR R4: search", "composite parameters: prefixes, system and code, units and escapes inside a part; a comma means or, a repeated parameter and")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Observation?component-code-value-quantity=http://loinc.org|8480-6$gt140", "high"),
        ("Observation?component-code-value-quantity=8480-6$gt140", "high"),
        ("Observation?component-code-value-quantity=|8480-6$gt140", ""),
        ("Observation?component-code-value-quantity=urn:other|8480-6$gt140", ""),
        ("Observation?component-code-value-quantity=8462-4$gt140", ""),
        ("Observation?component-code-value-quantity=8462-4$60", "low"),
        ("Observation?component-code-value-quantity=8480-6$ge95&component-code-value-quantity=8462-4$lt65", "low"),
        ("Observation?component-code-value-quantity=8480-6$gt140,8462-4$lt65", "high low"),
        (f"Observation?component-code-value-quantity=8480-6$150|{UCUM}|mm[Hg]", "high"),
        (f"Observation?component-code-value-quantity=8480-6$gt18|{UCUM}|kPa", "high"),
        (f"Observation?component-code-value-quantity=8480-6$gt21|{UCUM}|kPa", ""),
        ("Observation?component-code-value-quantity=8480-6$150||mmHg", "high"),
        ("Observation?component-code-value-quantity=8480-6$150||mm[Hg]", "high"),
        ("Observation?component-code-value-quantity:missing=false", "high low"),
        ("Observation?code-value-quantity=8480-6$gt140", "alone"),
        ("Observation?code-value-quantity=85354-9$gt140", ""),
        (f"Observation?code-value-quantity={LOINC}|29463-7$72500|{UCUM}|g", "weight"),
        ("Observation?code-value-quantity=29463-7$ne72.5", ""),
        ("Observation?code-value-quantity:missing=false", "alone weight"),
        ("Observation?combo-code-value-quantity=8480-6$gt140", "alone high"),
        ("Observation?combo-code-value-quantity=8480-6$gt140&status=final&_sort=_id&code=85354-9", "high"),
        ("Observation?combo-code-value-quantity:missing=false&_id=high,low,alone,mixed", "alone high low"),
        ("Observation?combo-code-value-concept=72166-2$former", "smoker"),
        ("Observation?code-value-concept=72166-2$http://snomed.info/sct|8517006", "smoker"),
        ("Observation?code-value-concept=72166-2$http://loinc.org|8517006", ""),
        ("Observation?component-code-value-concept=a$yes", "mixed"),
        ("Observation?component-code-value-concept=a$no", ""),
        ("Observation?component-code-value-concept=|a$urn:x|yes", "mixed"),
        ("Observation?combo-code-value-concept=b$urn:x|no", "mixed"),
        ("Observation?code-value-date=11778-8$2026-03", "due"),
        ("Observation?code-value-date=11778-8$ge2026-03-15", "period"),
        ("Observation?code-value-date=11778-8$2026", "due period"),
        ("Observation?code-value-string=48767-8$furchtet", "said"),
        (r"Observation?code-value-string=48767-8$f%C3%BCrchtet \$ und\,", "said"),
        ("Observation?code-value-string=48767-8$und", ""),
        ("MolecularSequence?chromosome-variant-coordinate=1$ge20$le21", "seq"),
        ("MolecularSequence?chromosome-variant-coordinate=1$20$59", ""),
        ("MolecularSequence?chromosome-window-coordinate=urn:c|1$10$99", "seq"),
        ("MolecularSequence?referenceseqid-variant-coordinate=NC_1$gt21$59", "ref"),
        ("MolecularSequence?referenceseqid-variant-coordinate=NC_2$50$59", ""),
        ("MolecularSequence?referenceseqid-window-coordinate=NC_1$lt11$gt98", "ref"),
        ("DocumentReference?relationship=DocumentReference/old$replaces", "new"),
        ("DocumentReference?relationship=old$replaces", "new"),
        ("DocumentReference?relationship=old$appends", ""),
        ("Group?characteristic-value=smoker$true", "group"),
        ("Group?characteristic-value=pregnant$true", ""),
        ("ValueSet?context-type-quantity=age$ge13", "adults"),
        (f"ValueSet?context-type-quantity=age$12|{UCUM}|a", "asthma"),
        (f"ValueSet?context-type-quantity=age$144|{UCUM}|mo", "asthma"),
        ("ValueSet?context-type-value=focus$asthma", "adults"),
        ("ValueSet?context-type-value=urn:u|venue$urn:x|asthma", "asthma"),
        ("Observation?_has:Provenance:target:_id=x&code-value-quantity=8480-6$gt140", ""),
    ],
)  # fmt: skip
def test_a_composite_finds_parts_of_one_group(filled: Repository, operator: Scope, query: str, ids: str) -> None:
    type_, _, rest = query.partition("?")
    page = filled.search(operator, type_, f"{rest}&_total=accurate")
    assert (" ".join(sorted(entry.id for entry in page.entries)), page.total) == (ids, len(ids.split()))


@pytest.mark.conformance("FHIR R4: search", "composite parameters: too few parts, a part of another kind, modifiers and more than 100 alternatives answer 400")
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("code-value-quantity=8480-6", "Value 1 of code-value-quantity is not token$quantity."),
        ("code-value-quantity=8480-6$gt1$2", "Value 1 of code-value-quantity is not token$quantity."),
        ("code-value-quantity=8480-6$tall", "Value 1 of code-value-quantity is not token$quantity."),
        ("code-value-quantity=8480-6$5|http://unitsofmeasure.org|", "Value 1 of code-value-quantity is not token$quantity."),
        ("code-value-quantity=a$1,b$c", "Value 2 of code-value-quantity is not token$quantity."),
        ("code-value-concept=http://loinc.org|$x", "Value 1 of code-value-concept is not token$token."),
        ("code-value-string=a$", "Value 1 of code-value-string is not token$string."),
        ("code-value-quantity:not=8480-6$1", "Modifier :not is not supported for code-value-quantity."),
        ("code-value-quantity=" + ",".join(["a$1"] * 101), "A parameter has at most 100 values."),
    ],
)
def test_a_composite_that_cannot_be_read_is_refused(filled: Repository, operator: Scope, query: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        filled.search(operator, "Observation", query)
    assert [issue.text for issue in caught.value.issues] == [text]


@pytest.mark.conformance("FHIR R4: search", "an update, a deletion and a return keep the composite index at the current version")
def test_the_composite_index_follows_the_resource(filled: Repository, operator: Scope) -> None:
    def found(query: str) -> list[str]:
        return sorted(entry.id for entry in filled.search(operator, "Observation", query).entries)

    filled.update(operator, "Observation", "high", _pressure("high", 130, 95))
    assert found("component-code-value-quantity=8480-6$gt140") == []
    assert found("component-code-value-quantity=8480-6$130") == ["high"]
    filled.delete(operator, "Observation", "high")
    assert found("combo-code-value-quantity=8480-6$130") == []
    filled.update(operator, "Observation", "high", _pressure("high", 131, 95))
    assert found("combo-code-value-quantity=8480-6$131") == ["high"]


@pytest.mark.conformance("FHIR R4: search", "composites in chains, _has and conditional interactions")
def test_composites_are_answered_behind_references(filled: Repository, operator: Scope) -> None:
    filled.update(operator, "Patient", "anna", {"resourceType": "Patient", "id": "anna"})
    filled.update(operator, "Observation", "high", {**_pressure("high", 150, 95), "subject": {"reference": "Patient/anna"}})
    filled.update(operator, "DiagnosticReport", "r", {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"text": "x"},
                                                       "result": [{"reference": "Observation/high"}]})  # fmt: skip
    kpa = f"component-code-value-quantity=8480-6$gt18|{UCUM}|kPa"
    assert [entry.id for entry in filled.search(operator, "Patient", f"_has:Observation:patient:{kpa}").entries] == ["anna"]
    assert [entry.id for entry in filled.search(operator, "DiagnosticReport", f"result.{kpa}").entries] == ["r"]
    assert filled.search(operator, "Patient", f"_has:Observation:patient:{kpa.replace('gt', 'gt2')}").entries == ()


@pytest.mark.conformance("Access", "a composite search finds no hidden row, and is refused where a part reads a hidden element")
def test_a_composite_finds_nothing_hidden(repository: Repository, operator: Scope) -> None:
    secret = {**_observation("secret", "44249-1", valueQuantity={"value": 22, "system": UCUM, "code": "{score}"}), "meta": PSY}
    repository.update(operator, "Observation", "secret", secret)
    query = "code-value-quantity=44249-1$gt20&_total=accurate"
    assert [entry.id for entry in repository.search(scope("psychiatric-clinician"), "Observation", query).entries] == ["secret"]
    for role in ("clinician", "operator"):
        page = repository.search(scope(role), "Observation", query)
        assert (page.entries, page.total) == ((), 0), role
    for role, search in [
        ("integration-engine", "Observation?code-value-quantity=44249-1$gt20"), ("integration-engine", "Observation?combo-code-value-quantity:missing=true"),
        ("integration-engine", "Patient?_has:Observation:patient:code-value-quantity=44249-1$gt20"),
        ("billing-administrator", "DocumentReference?relationship=a$replaces"),
    ]:  # fmt: skip
        with pytest.raises(Forbidden):
            repository.search(scope(role), *search.split("?"))
    assert repository.search(scope("integration-engine"), "Observation", "status=final&_total=accurate").total == 1
