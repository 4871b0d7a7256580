"""A RiskAssessment becomes the facts of a card."""

import pytest

from cds_hooks.stored_prediction import Factor, read_prediction
from tests.unit.cds_hooks.samples import BASE, RISK, contribution, incomplete, learned, quantity, risk, words


def test_every_fact_is_read():
    found, wrong = read_prediction(RISK)
    assert wrong == []
    assert (found.id, found.version, found.model, found.model_name, found.model_version) == ("r1", "3", "prevent-stroke-10y", "AHA PREVENT 2023, stroke, 10 years", "1.0.0")
    assert (found.outcome, found.made) == ("10-year risk of stroke", 1_795_330_800_000_000)
    assert (found.probability, found.baseline, found.baseline_text) == (0.054, 0.028, "a woman of 60 with the reference values of the equation")
    assert found.factors == (
        Factor("systolic-blood-pressure", "Systolic blood pressure", "158 mmHg", "2026-11-20", 0.4183),
        Factor("current-smoker", "Current smoker", "yes", "2026-10-02", 0.31),
        Factor("egfr", "Estimated GFR", "92 mL/min/1.73 m²", "2026-09-01", -0.0442),
    )
    assert (found.missing, found.labels_source) == (("HDL cholesterol",), "")


def test_what_is_preliminary_has_no_probability_even_where_one_is_written():
    assert read_prediction(incomplete())[0].probability is None
    assert read_prediction(risk(status="preliminary"))[0].probability is None
    assert read_prediction(risk(prediction=None))[0].probability is None


def test_the_source_of_the_labels_is_read():
    assert read_prediction(learned())[0].labels_source == "synthetic patients of the demo; no real outcome"


def test_without_a_version_the_hash_of_the_inputs_tells_versions_apart():
    assert read_prediction(risk(meta=None))[0].version.startswith("7d865e95")


@pytest.mark.parametrize(
    "resource",
    [
        risk(method=None),
        risk(method={"coding": [{"system": "https://elsewhere.example", "code": "prevent-stroke-10y"}]}),
        risk(method={"coding": [{"system": f"{BASE}/CodeSystem/risk-model", "code": "another-model"}]}),
        risk(method={"coding": [{"system": f"{BASE}/CodeSystem/risk-model", "code": ["prevent-stroke-10y"]}]}),
        risk(method={"coding": "x"}),
        risk(status="entered-in-error"),
        risk(status="cancelled"),
        risk(status=["final"]),
        risk(status=None),
        risk(meta={"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]}),
    ],
)
def test_what_is_not_ours_is_withdrawn_or_shown_in_part_is_no_prediction(resource):
    assert read_prediction(resource) == (None, [])


def with_probability(value):
    return risk(prediction=[{"probabilityDecimal": value}])


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (with_probability("0.05"), "RiskAssessment.prediction[0].probabilityDecimal"),
        (with_probability(5.4), "RiskAssessment.prediction[0].probabilityDecimal"),
        (with_probability(-0.1), "RiskAssessment.prediction[0].probabilityDecimal"),
        (with_probability(True), "RiskAssessment.prediction[0].probabilityDecimal"),
        (with_probability(10**400), "RiskAssessment.prediction[0].probabilityDecimal"),
        (risk(id="../r1"), "RiskAssessment.id"),
        (risk(prediction={}), "RiskAssessment.prediction"),
        (risk(prediction=[7]), "RiskAssessment.prediction[0]"),
        (risk(occurrenceDateTime=None), "RiskAssessment.occurrenceDateTime"),
        (risk(occurrenceDateTime="yesterday"), "RiskAssessment.occurrenceDateTime"),
        (risk(occurrenceDateTime="9999-12-31T23:59:60Z"), "RiskAssessment.occurrenceDateTime"),
        (risk(occurrenceDateTime="0001-01-01T00:00:00+14:00"), "RiskAssessment.occurrenceDateTime"),
        (risk(code={"text": 7}), "RiskAssessment.code.text"),
        (risk(extension=[7]), "RiskAssessment.extension[0]"),
        (risk(extension=[{"url": f"{BASE}/StructureDefinition/risk-missing"}]), "RiskAssessment.extension[0].valueString"),
        (risk(extension=[{"url": f"{BASE}/StructureDefinition/risk-contribution"}]), "RiskAssessment.extension[0].valueCode"),
        (risk(extension=[contribution("a", "A", words("yes"), 0.1, "soon")]), "RiskAssessment.extension[0].extension[3].valueDateTime"),
        (risk(extension=[contribution("a", "A", quantity("158", "mm[Hg]"), 0.1)]), "RiskAssessment.extension[0].extension[2].valueQuantity.value"),
        (risk(extension=[contribution("a", "A", words("yes"), "0.1")]), "RiskAssessment.extension[0].extension[4].valueDecimal"),
    ],
)
def test_a_wrong_shape_is_named_by_its_path(resource, path):
    found, wrong = read_prediction(resource)
    assert found is None
    assert path in [issue.expression for issue in wrong]
