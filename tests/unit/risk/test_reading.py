"""Which value of a chart becomes a feature, and which counts as not recorded."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.clock import parse_iso
from predictions.risk.features import Features
from predictions.risk.reading import Entry, Limits, chart_to_features
from tests.unit.risk.charts import CHART, DIABETES, LISINOPRIL, PANEL, PATIENT, SMOKER, measured

NOW = "2026-11-22T12:00:00Z"


def read(*resources: dict[str, Any], at: str = NOW, patient: dict[str, Any] = PATIENT) -> Features:
    entries = [Entry(r, f"{r['resourceType']}/{r['id']}/_history/1") for r in resources]
    kinds = {kind: [e for e in entries if e.resource["resourceType"] in kind] for kind in ("Observation", "Condition", "MedicationRequest MedicationStatement")}
    observations, conditions, medicines = kinds.values()
    return chart_to_features(Entry(patient, "Patient/p1/_history/1"), observations, conditions, medicines, at_us=parse_iso(at), limits=Limits())


def test_a_whole_chart_becomes_values_with_date_and_source() -> None:
    features = read(*CHART[1:])
    shown = {name: (round(v.value, 2), v.date, v.basis) for name, v in features.values.items()}
    assert shown == {
        "age": (60, "", ("Patient/p1/_history/1",)),
        "male": (0, "", ("Patient/p1/_history/1",)),
        "systolic-blood-pressure": (158, "2026-11-20T09:00:00Z", ("Observation/bp/_history/1",)),
        "smoking": (0, "2026-10-01", ("Observation/smoking/_history/1",)),
        "total-cholesterol": (220, "2026-06-01T08:00:00Z", ("Observation/tc/_history/1",)),
        "hdl-cholesterol": (45, "2026-06-01T08:00:00Z", ("Observation/hdl/_history/1",)),
        "egfr": (73.19, "2026-06-01T08:00:00Z", ("Observation/crea/_history/1",)),
        "diabetes": (1, "2020-05-01", ("Condition/dm/_history/1",)),
        "cardiovascular-disease": (0, "", ()),
        "antihypertensive": (1, "2026-01-10", ("MedicationRequest/rx/_history/1",)),
        "statin": (0, "", ()),
    }
    assert features.values["smoking"].said == "no (Never smoked tobacco)"
    assert features.values["statin"].said == "no, none recorded"


@pytest.mark.parametrize(
    ("code", "unit", "value", "feature", "expected"),
    [
        ("14647-2", "mmol/L", 5.69, "total-cholesterol", 220.03),
        ("2093-3", "mmol/L", 5.69, "total-cholesterol", 220.03),
        ("35200-5", "mmol/L", 5.69, "total-cholesterol", 220.03),
        ("77140-2", "umol/L", 79.56, "egfr", 73.19),
        ("59826-8", "umol/L", 79.56, "egfr", 73.19),
        ("35203-9", "mg/dL", 0.9, "egfr", 73.19),
        ("14646-4", "mmol/L", 1.16, "hdl-cholesterol", 44.86),
        ("14682-9", "umol/L", 79.56, "egfr", 73.19),
        ("98979-8", "mL/min/{1.73_m2}", 71, "egfr", 71),
        ("8459-0", "mm[Hg]", 157, "systolic-blood-pressure", 157),
        ("8480-6", "kPa", 21.0, "systolic-blood-pressure", 157.51),
        ("39156-5", "kg/m2", 31.5, "body-mass-index", 31.5),
    ],
)
def test_units_that_are_understood_are_converted(code: str, unit: str, value: float, feature: str, expected: float) -> None:
    assert round(read(measured("x", code, value, unit)).number(feature), 2) == expected


OTHER_SYSTEM = {"valueQuantity": {"value": 158, "unit": "mm[Hg]"}}
AT_MOST = {"valueQuantity": {"value": 200, "comparator": "<", "system": "http://unitsofmeasure.org", "code": "mg/dL"}}
IMPLAUSIBLE = {"extension": [{"url": "https://chartloop.example/fhir/StructureDefinition/implausible", "valueBoolean": True}]}


@pytest.mark.conformance("Prediction", "a value in an unknown unit, too old, in the future, implausible or retracted counts as not recorded, never guessed")
@pytest.mark.parametrize(
    "observation",
    [
        measured("x", "8480-6", 158, "mmHg"),
        measured("x", "8480-6", 158, "mm[Hg]", **OTHER_SYSTEM),
        measured("x", "2093-3", 220, "g/L"),
        measured("x", "2093-3", 200, "mg/dL", **AT_MOST),
        measured("x", "33914-3", 71, "mL/min/{1.73_m2}"),
        measured("x", "8480-6", 158, "mm[Hg]", "2025-11-21T00:00:00Z"),
        measured("x", "2093-3", 220, "mg/dL", "2024-11-20T00:00:00Z"),
        measured("x", "8480-6", 158, "mm[Hg]", "2026-11-22T13:00:00Z"),
        measured("x", "8480-6", 158, "mm[Hg]", ""),
        measured("x", "8480-6", 158, "mm[Hg]", **IMPLAUSIBLE),
        measured("x", "8480-6", 158, "mm[Hg]", status="entered-in-error"),
        measured("x", "8480-6", 158, "mm[Hg]", status="cancelled"),
        measured("x", "8480-6", 158, "mm[Hg]", status="preliminary"),
        measured("x", "8480-6", -3, "mm[Hg]"),
        {**SMOKER, "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "266927001", "display": "Unknown"}]}},
        {**SMOKER, "valueCodeableConcept": {"text": "smokes"}},
    ],
)
def test_what_does_not_qualify_is_not_recorded(observation: dict[str, Any]) -> None:
    assert set(read(observation).values) == {"age", "male", "diabetes", "cardiovascular-disease", "antihypertensive", "statin"}


def test_the_newest_valid_value_counts_whatever_the_order() -> None:
    old, new, wrong = (
        measured("a", "8480-6", 120, "mm[Hg]", "2026-05-01T08:00:00Z"),
        measured("b", "8480-6", 130, "mm[Hg]", "2026-05-01T08:00:00-05:00"),
        measured("c", "8480-6", 190, "mm[Hg]", "2026-06-01T08:00:00Z", status="entered-in-error"),
    )
    for order in ([old, new, wrong], [wrong, new, old], [new, old, wrong]):
        assert read(*order).values["systolic-blood-pressure"].basis == ("Observation/b/_history/1",)


@pytest.mark.parametrize(
    ("change", "diabetes"),
    [
        ({}, True),
        ({"code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]}}, True),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
        ({"clinicalStatus": {}}, True),
        ({"clinicalStatus": {}, "verificationStatus": {"coding": [{"code": "entered-in-error"}]}}, False),
        *(({"verificationStatus": {"coding": [{"code": doubt}]}}, False) for doubt in ("refuted", "unconfirmed", "provisional", "differential")),
        ({"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "R73.03"}]}}, False),
        ({"onsetDateTime": "2026-12-24"}, False),
    ],
)
def test_an_active_diabetes_counts(change: dict[str, Any], diabetes: bool) -> None:
    assert read({**DIABETES, **change}).flag("diabetes") is diabetes


@pytest.mark.parametrize("code", ["I63.9", "I21.4", "I50.9", "Z86.73"])
def test_a_cardiovascular_disease_counts_even_if_resolved(code: str) -> None:
    condition = {
        **DIABETES,
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
        "clinicalStatus": {"coding": [{"code": "resolved"}]},
    }
    assert read(condition).flag("cardiovascular-disease")


RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


@pytest.mark.parametrize(
    ("coding", "feature"),
    [
        ({"system": RXNORM, "code": "83367"}, "statin"),
        ({"system": RXNORM, "code": "312961", "display": "Simvastatin 20 MG Oral Tablet"}, "statin"),
        ({"system": "http://www.whocc.no/atc", "code": "C10AA05"}, "statin"),
        ({"system": "http://www.whocc.no/atc", "code": "C09AA03"}, "antihypertensive"),
        ({"system": RXNORM, "code": "308136", "display": "amLODIPine 2.5 MG Oral Tablet"}, "antihypertensive"),
    ],
)
def test_a_medicine_counts_by_ingredient_product_or_class(coding: dict[str, Any], feature: str) -> None:
    taken = {**LISINOPRIL, "medicationCodeableConcept": {"coding": [coding]}}
    statement = {
        "resourceType": "MedicationStatement",
        "id": "s",
        "status": "active",
        "medicationReference": {"reference": "#m"},
        "contained": [{"resourceType": "Medication", "id": "m", "code": {"coding": [coding]}}],
    }
    other = {"statin": "antihypertensive", "antihypertensive": "statin"}[feature]
    for medicine in (taken, statement):
        features = read(medicine)
        assert features.flag(feature)
        assert not features.flag(other)


@pytest.mark.parametrize(
    "change", [{"status": "stopped"}, {"intent": "proposal"}, {"authoredOn": "2027-01-01"}, {"medicationCodeableConcept": {"text": "lisinopril"}}]
)
def test_a_medicine_that_is_not_taken_now_does_not_count(change: dict[str, Any]) -> None:
    assert not read({**LISINOPRIL, **change}).flag("antihypertensive")


def test_reading_as_of_a_day_sees_nothing_that_came_later() -> None:
    features = read(*CHART[1:], at="2026-09-01T00:00:00Z")
    assert "systolic-blood-pressure" not in features.values
    assert features.number("total-cholesterol") == 220


@pytest.mark.parametrize(("born", "age"), [("1966-11-22", 60), ("1966-11-23", 59), ("1966", None), ("2030-01-01", None), (None, None)])
def test_age_is_completed_years_or_not_known(born: str | None, age: int | None) -> None:
    features = read(patient={**PATIENT, "birthDate": born})
    assert (features.values["age"].value if age is not None else features.values.get("age")) == age


def test_who_is_dead_at_the_time_is_not_alive() -> None:
    assert not read(patient={**PATIENT, "deceasedBoolean": True}).alive
    assert not read(patient={**PATIENT, "deceasedDateTime": "2026-11-01"}).alive
    assert read(PANEL, patient={**PATIENT, "deceasedDateTime": "2026-11-01"}, at="2026-10-01T00:00:00Z").alive


def test_the_text_names_a_product_whose_code_comes_without_its_name() -> None:
    coded = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "314076"}], "text": "Lisinopril 10 MG Oral Tablet"}
    assert read({**LISINOPRIL, "medicationCodeableConcept": coded}).flag("antihypertensive")
    assert not read({**LISINOPRIL, "medicationCodeableConcept": {"text": "Lisinopril"}}).flag("antihypertensive")


def test_a_stroke_that_only_a_visit_s_diagnosis_tells_of_counts() -> None:
    visit = {**DIABETES, "clinicalStatus": {}, "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I63.9"}]}}
    assert read(visit).flag("cardiovascular-disease")


def test_a_medicine_that_is_not_to_be_given_is_not_taken() -> None:
    assert read(LISINOPRIL).flag("antihypertensive")
    assert not read({**LISINOPRIL, "doNotPerform": True}).flag("antihypertensive")
