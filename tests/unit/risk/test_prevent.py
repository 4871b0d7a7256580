"""The published equation: its vectors, its baseline, its contributions."""

from __future__ import annotations

import json
import math
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictions.risk.ckd_epi import creatinine_to_egfr
from predictions.risk.features import Feature, Features
from predictions.risk.generate_prevent import make_facts
from predictions.risk.generate_prevent_vectors import SYSTEM, make_vectors, read_rda
from predictions.risk.model import Insufficient, Prediction, logit
from predictions.risk.prevent import FACTS, Person, log_odds, probability, terms
from predictions.risk.prevent_model import CONCEPTS, PreventStroke

ARCHIVE = "risk/preventr-tables-tests.tar.xz"
BASE = {
    "age": 50,
    "total_cholesterol": 200,
    "hdl_cholesterol": 45,
    "systolic": 160,
    "egfr": 90,
    "diabetes": True,
    "smoking": False,
    "antihypertensive": True,
    "statin": False,
}


@cache
def vectors(archive: Path) -> dict[str, Any]:
    """The package's tests as our command converts them."""
    pytest.importorskip("rdata")
    return make_vectors(archive)


def person(sex: str = "female", **more: object) -> Person:
    return Person(sex, **{**BASE, **more})  # type: ignore[arg-type]


def chart(sex: str = "female", **more: float) -> Features:
    numbers = {
        "age": 60.0, "total-cholesterol": 220.0, "hdl-cholesterol": 45.0, "systolic-blood-pressure": 158.0, "egfr": 70.0, "diabetes": 1.0,
        "smoking": 0.0, "antihypertensive": 1.0, "statin": 0.0, "cardiovascular-disease": 0.0,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }  # fmt: skip
    return Features("Patient/p1", sex, {name: Feature(value) for name, value in numbers.items() if not math.isnan(value)})


def predicted(features: Features) -> Prediction:
    found = PreventStroke().predict(features)
    assert isinstance(found, Prediction)
    return found


@pytest.mark.parametrize(("sex", "risk"), [("female", "5.4%"), ("male", "5.2%")])
def test_the_published_example_comes_out(sex: str, risk: str) -> None:
    assert f"{probability(log_odds(person(sex))):.1%}" == risk


@pytest.mark.long
@pytest.mark.corpus
@pytest.mark.conformance("Prediction", "PREVENT reproduces the vectors of shared/data/risk, at least 40 cases of both sexes, to the printed digits")
def test_every_stroke_risk_that_preventr_prints_comes_out_to_the_digit(corpus: Path) -> None:
    cases = vectors(corpus / ARCHIVE)["cases"]
    wrong = [case for case in cases if round(100 * probability(log_odds(Person(**case["person"]), case["model"])), 1) != float(case["printed"].rstrip("%"))]
    assert wrong == []
    different = {(case["model"], json.dumps(case["person"], sort_keys=True)) for case in cases}
    assert len(cases) >= 240
    assert len(different) >= 50
    for sex in ("female", "male"):
        assert sum(f'"sex": "{sex}"' in text for _, text in different) >= 25
    assert {model for model, _ in different} == {f"{m}-{y}" for m in ("base", "uacr", "hba1c", "sdi", "full") for y in (10, 30)}


@pytest.mark.corpus
def test_a_thousand_people_agree_with_the_package_s_own_tables(corpus: Path, tmp_path: Path) -> None:
    """The .rda people (some invalid on purpose) have no printed risks: they are computed a second time, from sysdata.rda, in another way."""
    people = vectors(corpus / ARCHIVE)["people"]
    with tarfile.open(corpus / ARCHIVE) as tar:
        tar.extract(SYSTEM, tmp_path, filter="data")
    table = read_rda(tmp_path / SYSTEM)["base_10yr"]
    assert len(people) == 1000
    for each in people:
        age, hdl = (each["age"] - 55) / 10, each["hdl_cholesterol"] * 0.02586
        non_hdl = each["total_cholesterol"] * 0.02586 - hdl - 3.5
        low, high = (min(each["systolic"], 110) - 110) / 20, (max(each["systolic"], 110) - 130) / 20
        dm, smoker, treated, statin = (float(each[n]) for n in ("diabetes", "smoking", "antihypertensive", "statin"))
        hdl, kidney_low, kidney_high = (hdl - 1.3) / 0.3, (min(each["egfr"], 60) - 60) / -15, (max(each["egfr"], 60) - 90) / -15
        x = np.array(
            [age, non_hdl, hdl, low, high, dm, smoker, 0, 0, kidney_low, kidney_high, treated, statin, treated * high, statin * non_hdl,
             age * non_hdl, age * hdl, age * high, age * dm, age * smoker, 0, age * kidney_low, 1]
        )  # fmt: skip
        assert log_odds(Person(**each)) == pytest.approx(float(x @ table[f"{each['sex']}_stroke"].to_numpy()), rel=1e-12, abs=1e-12)


@pytest.mark.corpus
def test_the_coefficients_are_those_of_the_tables(corpus: Path) -> None:
    assert make_facts(corpus / ARCHIVE) == FACTS.read_text(encoding="utf-8")


def test_every_term_belongs_to_one_concept_or_to_the_baseline() -> None:
    grouped = [name for names in CONCEPTS.values() for name in names]
    assert sorted([*grouped, "age", "constant"]) == sorted(terms(person()))


@pytest.mark.parametrize("sex", ["female", "male"])
def test_the_reference_person_has_the_baseline_risk_at_every_age(sex: str) -> None:
    for age in range(30, 80):
        reference = chart(
            sex, age=age, total_cholesterol=4.8 / 0.02586, hdl_cholesterol=1.3 / 0.02586, systolic_blood_pressure=130, egfr=90, diabetes=0, antihypertensive=0
        )
        found = predicted(reference)
        assert found.probability == pytest.approx(found.baseline, rel=1e-12, abs=1e-12)
        assert all(abs(c.log_odds) < 1e-12 for c in found.contributions)


def test_the_sum_of_the_contributions_is_the_difference_of_the_log_odds() -> None:
    for sex in ("female", "male"):
        for age in (30, 45, 60, 79):
            for pressure in (90, 109, 131, 180):
                for flag in (0.0, 1.0):
                    found = predicted(chart(sex, age=age, systolic_blood_pressure=pressure, statin=flag, smoking=flag, egfr=40 + 50 * flag))
                    added = math.fsum(c.log_odds for c in found.contributions)
                    assert abs(added - (logit(found.probability) - logit(found.baseline))) < 1e-12


def test_what_was_not_recorded_as_absent_is_said_to_be_none_recorded() -> None:
    features = chart()
    del features.values["statin"]  # type: ignore[attr-defined]
    statin = next(c for c in predicted(features).contributions if c.feature == "statin")
    assert (statin.value, statin.log_odds) == ("no, none recorded", 0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"age": 29}, "Age between 30 and 79 years; it is 29"),
        ({"age": 80}, "Age between 30 and 79 years; it is 80"),
        ({"systolic_blood_pressure": 181}, "Systolic blood pressure between 90 and 180 mmHg; it is 181"),
        ({"total_cholesterol": 129}, "Total cholesterol between 130 and 320 mg/dL; it is 129"),
        ({"hdl_cholesterol": 101}, "HDL cholesterol between 20 and 100 mg/dL; it is 101"),
        ({"egfr": 14.9}, "eGFR (CKD-EPI 2021) between 15 and 140 mL/min/1.73 m²; it is 14.9"),
        ({"egfr": math.nan}, "eGFR (CKD-EPI 2021)"),
        ({"smoking": math.nan}, "Current smoking"),
        ({"cardiovascular_disease": 1}, "The model is for people without known cardiovascular disease; the chart records one"),
    ],
)
def test_outside_its_range_the_equation_says_why_it_is_silent(change: dict[str, float], said: str) -> None:
    assert PreventStroke().predict(chart(**change)) == Insufficient((said,))


def test_without_a_recorded_sex_there_is_no_equation() -> None:
    assert PreventStroke().predict(chart("")) == Insufficient(("Sex (female or male)",))


@pytest.mark.parametrize(
    ("creatinine", "age", "female", "egfr"),
    [(0.7, 50, True, 105.3), (0.9, 50, False, 104.0), (1.0, 50, True, 68.6), (1.0, 50, False, 91.7), (2.5, 70, False, 26.7), (0.5, 30, True, 129.3)],
)
def test_creatinine_becomes_egfr_by_ckd_epi_2021(creatinine: float, age: float, female: bool, egfr: float) -> None:
    assert creatinine_to_egfr(creatinine, age, female=female) == pytest.approx(egfr, abs=0.3)
