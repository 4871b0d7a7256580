"""What of a resource can be searched for, as rows."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from fhir_server.indexing.dates import OPEN_HIGH, OPEN_LOW, date_bounds
from fhir_server.indexing.extraction import extract
from fhir_server.indexing.values import fold
from fhir_server.search.params import for_type, not_built
from fhir_server.spec.definitions import r4

HOUR = 3_600_000_000
DAY = 24 * HOUR


def rows(kind: str, type_: str, code: str, resource: dict, base: str = "") -> list[tuple]:
    """Rows of one parameter, without its number."""
    number = for_type(type_)[code].id
    return [row[1:] for row in getattr(extract(type_, resource, base=base), kind) if row[0] == number]


def test_a_coding_is_a_token_with_its_system():
    observation = {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}, {"code": "x"}], "text": "Systolic"}}
    assert rows("tokens", "Observation", "code", observation) == [("http://loinc.org", "8480-6"), ("", "x")]


def test_an_identifier_is_a_token():
    assert rows("tokens", "Patient", "identifier", {"identifier": [{"system": "http://mrn", "value": "1"}, {"value": "2"}]}) == [("http://mrn", "1"), ("", "2")]


def test_a_bound_code_carries_the_system_of_its_binding():
    assert rows("tokens", "Patient", "gender", {"gender": "female"}) == [("http://hl7.org/fhir/administrative-gender", "female")]


def test_a_boolean_is_a_token():
    assert rows("tokens", "Patient", "active", {"active": False}) == [("", "false")]


@pytest.mark.parametrize(
    ("patient", "deceased"), [({}, "false"), ({"deceasedBoolean": False}, "false"), ({"deceasedBoolean": True}, "true"), ({"deceasedDateTime": "2020"}, "true")]
)
def test_deceased_is_false_unless_something_says_so(patient, deceased):
    assert rows("tokens", "Patient", "deceased", patient) == [("", deceased)]


def test_contact_points_are_told_apart_by_their_system():
    patient = {"telecom": [{"system": "phone", "value": "555"}, {"system": "email", "value": "a@b.org"}]}
    assert rows("tokens", "Patient", "email", patient) == [("", "a@b.org")]
    assert rows("tokens", "Patient", "telecom", patient) == [("", "555"), ("", "a@b.org")]


@pytest.mark.conformance("FHIR R4: search", "strings are folded: case, accents, spaces")
def test_name_parts_are_folded_strings():
    patient = {"name": [{"family": "Müller-Łüdenscheidt", "given": ["  José", None, "ANNA  Maria"]}]}
    assert [folded for folded, _ in rows("strings", "Patient", "name", patient)] == ["muller-łudenscheidt", "jose", "anna maria"]
    assert rows("strings", "Patient", "given", patient)[0] == ("jose", "  José")


def test_address_parts_are_strings():
    patient = {"address": [{"line": ["1 Main St"], "city": "Boston", "postalCode": "02101"}]}
    assert [folded for folded, _ in rows("strings", "Patient", "address", patient)] == ["1 main st", "boston", "02101"]
    assert rows("strings", "Patient", "address-city", patient) == [("boston", "Boston")]


@pytest.mark.conformance("FHIR R4: search", "a date is a range as wide as its precision, with zones and leap seconds")
@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("1970", (0, 365 * DAY)),
        ("1970-02", (31 * DAY, 59 * DAY)),
        ("1970-12", (334 * DAY, 365 * DAY)),
        ("1970-01-02", (DAY, 2 * DAY)),
        ("1970-01-01T01:00:00Z", (HOUR, HOUR + 1_000_000)),
        ("1970-01-01T01:00:00+01:00", (0, 1_000_000)),
        ("1969-12-31T19:00:00-05:00", (0, 1_000_000)),
        ("1970-01-01T00:00:00.5Z", (500_000, 600_000)),
        ("1970-01-01T00:00:00.123Z", (123_000, 124_000)),
        ("1970-01-01T00:00:00.1234567Z", (123_456, 123_457)),
        ("1970-01-01T00:01Z", (60_000_000, 120_000_000)),
        ("1972-06-30T23:59:60Z", (78_796_800_000_000, 78_796_801_000_000)),
        ("1970-02-30", None),
        ("yesterday", None),
    ],
)
def test_a_date_is_as_wide_as_its_precision(text, bounds):
    assert date_bounds(text) == bounds


def test_the_last_year_has_an_end():
    low, high = date_bounds("9999")
    assert low < high


@pytest.mark.conformance("FHIR R4: search", "periods may be open at either end")
def test_a_period_may_be_open():
    assert rows("dates", "Encounter", "date", {"period": {"start": "1970"}}) == [(0, OPEN_HIGH)]
    assert rows("dates", "Encounter", "date", {"period": {"end": "1970-01-01"}}) == [(OPEN_LOW, DAY)]


def test_a_timing_is_indexed_by_its_outer_limits():
    observation = {"effectiveTiming": {"event": ["1970-01-03", "1970-01-01"]}}
    assert rows("dates", "Observation", "date", observation) == [(0, 3 * DAY)]


BASE = "http://here/fhir"


@pytest.mark.parametrize(
    ("reference", "row"),
    [
        ("Patient/1", ("Patient", "1", "Patient/1")),
        ("Patient/1/_history/3", ("Patient", "1", "Patient/1/_history/3")),
        ("http://here/fhir/Patient/1", ("Patient", "1", "http://here/fhir/Patient/1")),
        ("http://there/fhir/Patient/1", ("Patient", "", "http://there/fhir/Patient/1")),
        ("urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3d", ("", "", "urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3d")),
    ],
)
def test_references_are_split_where_they_point_here(reference, row):
    assert rows("references", "Observation", "subject", {"subject": {"reference": reference}}, BASE) == [row]


def test_a_reference_to_a_group_is_a_subject_and_no_patient():
    observation = {"subject": {"reference": "Group/1"}}
    assert rows("references", "Observation", "subject", observation) == [("Group", "1", "Group/1")]
    assert rows("references", "Observation", "patient", observation) == []


@pytest.mark.conformance("FHIR R4: search", "a logical reference is indexed by its identifier")
def test_a_logical_reference_is_a_token_of_its_parameter():
    observation = {"subject": {"identifier": {"system": "http://mrn", "value": "1"}}}
    assert rows("references", "Observation", "subject", observation) == []
    assert rows("tokens", "Observation", "subject", observation) == [("http://mrn", "1")]


def test_a_local_reference_is_not_indexed():
    assert rows("references", "Observation", "subject", {"subject": {"reference": "#p"}}) == []


def test_a_canonical_is_found_with_and_without_its_version():
    plan = {"instantiatesCanonical": ["http://x/PlanDefinition/1|2"]}
    assert rows("references", "CarePlan", "instantiates-canonical", plan) == [("", "", "http://x/PlanDefinition/1|2"), ("", "", "http://x/PlanDefinition/1")]


def test_a_quantity_has_its_unit_and_its_exact_value():
    observation = {"valueQuantity": {"value": Decimal("72.50"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}}
    assert rows("quantities", "Observation", "value-quantity", observation) == [("http://unitsofmeasure.org", "kg", 72.5, 72.5, "72.50")]


@pytest.mark.conformance("FHIR R4: search", "a stored quantity with a comparator is open to one side")
@pytest.mark.parametrize(("comparator", "is_open"), [("<", "low"), ("<=", "low"), (">", "high"), (">=", "high")])
def test_a_comparator_opens_one_side(comparator, is_open):
    [(_, _, low, high, _)] = rows("quantities", "Observation", "value-quantity", {"valueQuantity": {"value": 5, "comparator": comparator}})
    assert (low < -1e300, high > 1e300) == (is_open == "low", is_open == "high")


def test_a_quantity_beyond_a_double_stays_finite():
    [(_, _, low, _, exact)] = rows("quantities", "Observation", "value-quantity", {"valueQuantity": {"value": Decimal("1e400")}})
    assert low < float("inf")
    assert exact == "1E+400"


def test_money_and_ranges_are_quantities():
    assert rows("quantities", "Invoice", "totalgross", {"totalGross": {"value": Decimal("12.30"), "currency": "EUR"}}) == [
        ("urn:iso:std:iso:4217", "EUR", 12.3, 12.3, "12.30")
    ]
    condition = {"onsetRange": {"low": {"value": 10, "unit": "a"}, "high": {"value": 20, "unit": "a"}}}
    assert rows("quantities", "Condition", "onset-age", condition) == [("", "a", 10.0, 20.0, "")]


@pytest.mark.conformance("FHIR R4: search", "number and uri parameters are indexed")
def test_numbers_and_uris_are_indexed():
    assert rows("numbers", "RiskAssessment", "probability", {"prediction": [{"probabilityDecimal": Decimal("0.8")}]}) == [(0.8, 0.8, "0.8")]
    assert rows("uris", "ValueSet", "url", {"url": "http://x"}) == [("http://x",)]


@pytest.mark.conformance("FHIR R4: search", "_tag and _profile are indexed")
def test_tags_and_profiles_are_indexed():
    assert rows("tokens", "Patient", "_tag", {"meta": {"tag": [{"system": "s", "code": "c"}]}}) == [("s", "c")]
    assert rows("uris", "Patient", "_profile", {"meta": {"profile": ["http://p"]}}) == [("http://p",)]


def test_the_same_value_twice_is_one_row():
    assert rows("tokens", "Patient", "identifier", {"identifier": [{"value": "1"}, {"value": "1"}]}) == [("", "1")]


@pytest.mark.parametrize(("text", "folded"), [("ÀÉ ô", "ae o"), ("Straße", "strasse"), ("İ", "i"), ("ﬁ", "fi"), (" a \n b ", "a b")])
def test_folding_drops_accents_case_and_spaces(text, folded):
    assert fold(text) == folded


@pytest.mark.conformance("FHIR R4: search", "every search parameter of R4 is built, composites and near too, but those of full text, _filter and _query")
def test_only_text_filters_and_named_queries_are_missing():
    assert {code for type_ in r4().resource_types for code in not_built(type_)} <= {"_content", "_filter", "_query", "_text"}


def test_numbers_of_parameters_are_small_and_used_once():
    numbers = [param.id for type_ in r4().resource_types for param in for_type(type_).values()]
    assert len(numbers) == len(set(numbers))
    assert 0 < min(numbers) <= max(numbers) < 2**15


def test_a_parameter_knows_its_targets_and_paths():
    param = for_type("Observation")["subject"]
    assert param.targets == ("Device", "Group", "Location", "Patient")
    assert param.paths == ("Observation.subject",)
    assert for_type("Patient")["family"].paths == ("Patient.name.family",)


def test_extraction_survives_every_type_without_elements():
    assert all(json.dumps(extract(type_, {})) for type_ in r4().resource_types)
