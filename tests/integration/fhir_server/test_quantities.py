"""Quantities and numbers on both databases: units, precision, comparators, money; literal resources in, literal ids out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import scope

UCUM = "http://unitsofmeasure.org"


def _observation(id_: str, quantity: str) -> bytes:
    """Written as text, so that the number arrives as it stands."""
    return f'{{"resourceType":"Observation","id":"{id_}","status":"final","code":{{"text":"x"}},"valueQuantity":{quantity}}}'.encode()


def _ucum(value: str, code: str, rest: str = "") -> str:
    return f'{{"value":{value},"system":"{UCUM}","code":{json.dumps(code)}{rest}}}'


OBSERVATIONS = {
    "mg": _ucum("5.4", "mg", ',"unit":"milligram"'),
    "gram": _ucum("0.0054", "g"),
    "annotated": _ucum("5.40", "mg{dry}"),
    "microgram": _ucum("5449", "ug"),
    "over": _ucum("5.45", "mg"),
    "dose": '{"value":5.4,"unit":"mg"}',
    "own": '{"value":5.4,"system":"urn:own","code":"mg"}',
    "fever": _ucum("38.5", "Cel"),
    "fahrenheit": _ucum("101.3", "[degF]"),
    "kelvin": _ucum("311.65", "K"),
    "acid": _ucum("7.4", "[pH]"),
    "mol": _ucum("5", "mmol/L"),
    "eq": _ucum("5", "meq/L"),
    "pulse": _ucum("72", "/min"),
    "beats": _ucum("72", "{beats}/min"),
    "hertz": _ucum("1.2", "Hz"),
    "under": _ucum("5", "ng/mL", ',"comparator":"<"'),
    "most": _ucum("5", "ng/mL", ',"comparator":"<="'),
    "above": _ucum("50", "ng/mL", ',"comparator":">"'),
    "least": _ucum("50", "ng/mL", ',"comparator":">="'),
    "zero": _ucum("0", "[iU]/L"),
    "huge": _ucum("1e300", "kg"),
}
MASS = "annotated gram mg microgram"


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """Quantities of every sort."""
    for id_, quantity in OBSERVATIONS.items():
        repository.update(operator, "Observation", id_, _observation(id_, quantity))
    return repository


@pytest.mark.conformance("FHIR R4: search", "quantity parameters: UCUM units by what they measure, so that 5.4 mg finds 0.0054 g; temperatures by their scales")
@pytest.mark.conformance("FHIR R4: search", "quantity parameters: the unit by its code or its text without a system; a unit without a canonical form by its code alone")
@pytest.mark.conformance("FHIR R4: search", "quantity parameters: ne, sa, eb and ap; stored comparators reach as far as they say")
@pytest.mark.parametrize(
    ("search", "ids"),
    [
        (f"5.4|{UCUM}|mg", MASS),
        (f"0.0054|{UCUM}|g", MASS),
        (f"5.4e-3|{UCUM}|g", MASS),
        (f"5.40|{UCUM}|mg", "annotated gram mg"),
        (f"5400|{UCUM}|ug", "annotated gram mg"),
        (f"0.000005449|{UCUM}|kg", "microgram"),
        (f"gt5.449|{UCUM}|mg", "huge over"),
        (f"ge5.449|{UCUM}|mg", "huge microgram over"),
        (f"lt0.0054|{UCUM}|g", ""),
        (f"le0.0054|{UCUM}|g", "annotated gram mg"),
        (f"ap5|{UCUM}|mg", "annotated gram mg microgram over"),
        (f"ap4|{UCUM}|mg", ""),
        (f"ne5.4|{UCUM}|mg", "huge over"),
        (f"sa5.4|{UCUM}|mg", "huge microgram over"),
        (f"eb5.45|{UCUM}|mg", MASS),
        ("5.4||mg", "dose mg own"),
        ("5.4||milligram", "mg"),
        ("5.4||mg{dry}", "annotated"),
        ("5.4|urn:own|mg", "own"),
        ("5.4|urn:own|g", ""),
        ("5.4", "annotated dose mg own"),
        (f"38.5|{UCUM}|Cel", "fahrenheit fever kelvin"),
        (f"101.3|{UCUM}|[degF]", "fahrenheit fever kelvin"),
        (f"ge38.5|{UCUM}|Cel", "fahrenheit fever kelvin"),
        (f"gt38.5|{UCUM}|Cel", ""),
        (f"gt311|{UCUM}|K", "fahrenheit fever kelvin"),
        (f"7.4|{UCUM}|[pH]", "acid"),
        (f"5|{UCUM}|meq/L", "eq mol"),
        (f"72|{UCUM}|/min", "beats hertz pulse"),
        (f"72|{UCUM}|{{breaths}}/min", "beats hertz pulse"),
        (f"1|{UCUM}|[lb_av]", ""),
        (f"5|{UCUM}|nonsense", ""),
        (f"lt5|{UCUM}|ng/mL", "most under"),
        (f"ge5|{UCUM}|ng/mL", "above least most"),
        (f"gt4|{UCUM}|ng/mL", "above least most under"),
        (f"gt5|{UCUM}|ug/L", "above least"),
        (f"gt100|{UCUM}|ug/L", "above least"),
        (f"sa50|{UCUM}|ug/L", "above"),
        (f"sa100|{UCUM}|ug/L", ""),
        (f"eb5|{UCUM}|ug/L", "under"),
        (f"le50|{UCUM}|ng/mL", "least most under"),
        (f"5|{UCUM}|ng/mL", ""),
        (f"ne5|{UCUM}|ng/mL", "above least most under"),
        (f"ap60|{UCUM}|ng/mL", "above least"),
        (f"-0|{UCUM}|[iU]/L", "zero"),
        (f"0|{UCUM}|m[IU]/mL", "zero"),
        (f"lt0|{UCUM}|[iU]/L", ""),
        (f"1e300|{UCUM}|kg", "huge"),
        (f"1e303|{UCUM}|g", "huge"),
        (f"gt1e306|{UCUM}|mg", ""),
        (f"le1e306|{UCUM}|mg", "annotated gram huge mg microgram over"),
        ("7e1||/min", ""), ("7.2e1||/min", "pulse"),
        (f"5.4|{UCUM}|mg,38.5|{UCUM}|Cel", f"{MASS} fahrenheit fever kelvin"),
    ],
)  # fmt: skip
def test_a_quantity_is_found_in_every_unit(filled: Repository, operator: Scope, search: str, ids: str) -> None:
    query = f"value-quantity={search.replace('%', '%25').replace('+', '%2B')}"
    page = filled.search(operator, "Observation", f"{query}&_total=accurate")
    assert (sorted(entry.id for entry in page.entries), page.total) == (sorted(ids.split()), len(ids.split()))
    walked = filled.search(operator, "Observation", f"{query}&status=final&_sort=_id&_count=1000")  # as a probe, too
    assert [entry.id for entry in walked.entries] == sorted(ids.split())


@pytest.mark.conformance("FHIR R4: search", "quantity parameters: a system without a code, a code without its bars, and a unit on a number parameter answer 400")
@pytest.mark.parametrize(
    "query",
    ["Observation?value-quantity=5|http://unitsofmeasure.org|", "Observation?value-quantity=5|mg", "Observation?value-quantity=|u|mg", "Observation?value-quantity=5,x|u|mg",
     "Observation?value-quantity=~5", "RiskAssessment?probability=0.8||", "RiskAssessment?probability=0.8|urn:x|y", "RiskAssessment?probability=0x10",
     "RiskAssessment?probability=1e9999"],
)  # fmt: skip
def test_a_quantity_that_cannot_be_read_is_refused(filled: Repository, operator: Scope, query: str) -> None:
    with pytest.raises(Invalid):
        filled.search(operator, *query.split("?"))


@pytest.mark.conformance("FHIR R4: search", "quantity parameters: more than 200 units that measure the same answer 400")
def test_a_search_in_too_many_units_is_refused(repository: Repository, operator: Scope) -> None:
    for number in range(201):
        repository.create(operator, json.loads(_observation("x", _ucum("1", f"{number + 2}.mg"))))
    with pytest.raises(Invalid) as caught:
        repository.search(operator, "Observation", f"value-quantity=1|{UCUM}|kg")
    assert caught.value.issues[0].code == "too-costly"
    assert len(repository.search(operator, "Observation", "value-quantity=1&_count=1000").entries) == 201


@pytest.mark.conformance("FHIR R4: search", "quantity parameters: money by its currency; ranges and ages")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Invoice?totalgross=12.30|urn:iso:std:iso:4217|EUR", "bill"),
        ("Invoice?totalgross=12.30||EUR", "bill"),
        ("Invoice?totalgross=12.30||USD", ""),
        ("Invoice?totalgross=gt12", "bill"),
        (f"Condition?onset-age=60|{UCUM}|a", "age"),
        (f"Condition?onset-age=ge720|{UCUM}|mo", "age range"),
        (f"Condition?onset-age=gt65|{UCUM}|a", "range"),
        (f"Condition?onset-age=sa60|{UCUM}|a", ""),
        (f"Condition?onset-age=sa49|{UCUM}|a", "age range"),
        (f"Condition?onset-age=eb71|{UCUM}|a", "age range"),
        (f"Condition?onset-age=ap55|{UCUM}|a", "age range"),
        (f"Condition?onset-age=lt55|{UCUM}|a", "range"),
    ],
)
def test_money_ages_and_ranges_are_quantities(repository: Repository, operator: Scope, query: str, ids: str) -> None:
    age = {"system": UCUM, "code": "a"}
    resources: list[dict[str, Any]] = [
        {"resourceType": "Invoice", "id": "bill", "status": "issued", "totalGross": {"value": 12.30, "currency": "EUR"}},
        {"resourceType": "Condition", "id": "age", "subject": {"reference": "Patient/1"}, "onsetAge": {"value": 60, **age}},
        {"resourceType": "Condition", "id": "range", "subject": {"reference": "Patient/1"}, "onsetRange": {"low": {"value": 50, **age}, "high": {"value": 70, **age}}},
    ]
    for resource in resources:
        repository.update(operator, resource["resourceType"], resource["id"], resource)
    type_, _, rest = query.partition("?")
    assert sorted(entry.id for entry in repository.search(operator, type_, rest).entries) == ids.split()


@pytest.mark.conformance("FHIR R4: search", "number parameters: significant figures, exponents and signs; ap is ten per cent")
@pytest.mark.parametrize(
    ("search", "ids"),
    [
        ("100", "hundred"), ("100.0", "hundred"), ("1e2", "below hundred"), ("1.0e2", "below hundred"), ("1.00e2", "hundred"), ("99.4", "below"),
        ("99.4e0", "below"), ("ap100", "above below hundred"), ("ap99", "above below hundred"), ("ap90", ""), ("gt100", "above"), ("ge1E2", "above hundred"), ("lt+100", "below zero"),
        ("-0", "zero"), ("0", "zero"), ("ap0", "zero"), ("ne100", "above below zero"), ("sa99.4", "above hundred"), ("eb100", "below zero"), ("-1", ""),
    ],
)  # fmt: skip
def test_a_number_is_as_wide_as_its_significant_figures(repository: Repository, operator: Scope, search: str, ids: str) -> None:
    for id_, number in (("below", 99.4), ("hundred", 100), ("above", 107), ("zero", 0)):
        repository.update(operator, "ChargeItem", id_, {"resourceType": "ChargeItem", "id": id_, "status": "billable", "code": {"text": "x"}, "subject": {"reference": "Patient/1"},
                                                            "factorOverride": number})  # fmt: skip
    found = repository.search(operator, "ChargeItem", f"factor-override={search.replace('+', '%2B')}")
    assert sorted(entry.id for entry in found.entries) == ids.split()


@pytest.mark.conformance("Access", "a quantity search is refused where its element is hidden, and finds no hidden row in any unit")
def test_a_quantity_finds_nothing_hidden(filled: Repository, operator: Scope) -> None:
    secret = json.loads(_observation("secret", _ucum("22", "mg")))
    secret["meta"] = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
    filled.update(operator, "Observation", "secret", secret)
    query = f"value-quantity=0.022|{UCUM}|g&_total=accurate"
    assert filled.search(scope("psychiatric-clinician"), "Observation", query).total == 1
    assert filled.search(scope("clinician"), "Observation", query).total == 0
    with pytest.raises(Forbidden):
        filled.search(scope("integration-engine"), "Observation", query)


@pytest.mark.conformance("FHIR R4: search", "_filter compares quantities in every unit, alone and under or and not")
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("value-quantity eq 0.0054|ucum|g", MASS),
        ("value-quantity gt 5.449|ucum|mg or value-quantity gt 311|ucum|K", "fahrenheit fever huge kelvin over"),
        ("value-quantity ap 5|ucum|mg and not (value-quantity ge 5.449|ucum|mg)", "annotated gram mg"),
    ],
)
def test_a_filter_compares_in_every_unit(filled: Repository, operator: Scope, text: str, ids: str) -> None:
    found = filled.search(operator, "Observation", f"_filter={text.replace(' ', '+')}").entries
    assert sorted(entry.id for entry in found) == sorted(ids.split())
