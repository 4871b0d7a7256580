"""Contributions of both models: exact, additive, and Shapley values by their definition."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictions.lightgbm_loader import load_lightgbm
from predictions.risk.eligibility import RANGES
from predictions.risk.features import FEATURES, Feature, Features
from predictions.risk.lightgbm_model import LightgbmStroke
from predictions.risk.model import Prediction, logit
from predictions.risk.prevent_model import PreventStroke
from predictions.risk.recalibration import sigmoid
from predictions.risk.synthetic_cohort import synthetic_cohort
from predictions.risk.train import Trained, train
from tests.properties.risk.shapley import brute_force

FLAGS = [name for name, definition in FEATURES.items() if not definition.unit and name != "male"]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(synthetic_cohort(6000, seed=3), labels_source="made up", data="made up", years=10, demo=True, date="2026-11-22")


@st.composite
def charts(draw: st.DrawFn, *, whole: bool) -> Features:
    """A chart within the equation's ranges; unless it is whole, anything but age may not be recorded."""
    male = draw(st.booleans())
    values = {"male": Feature(float(male)), "cardiovascular-disease": Feature(0.0)}
    for name, (low, high) in {**RANGES, "body-mass-index": (15, 60)}.items():
        if name == "age" or whole or draw(st.booleans()):
            values[name] = Feature(float(draw(st.floats(low, high))) if name != "age" else float(draw(st.integers(int(low), int(high)))))
    for name in FLAGS:
        if whole or draw(st.booleans()):
            values[name] = Feature(float(draw(st.booleans())))
    return Features("Patient/p1", "male" if male else "female", values)


@given(charts(whole=True))
def test_the_equation_s_contributions_add_up_exactly(chart: Features) -> None:
    found = PreventStroke().predict(chart)
    assert isinstance(found, Prediction)
    assert abs(math.fsum(c.log_odds for c in found.contributions) - (logit(found.probability) - logit(found.baseline))) < 1e-12


@settings(deadline=None)
@given(chart=charts(whole=False))
def test_the_trained_model_s_contributions_add_up_whatever_is_missing(trained: Trained, chart: Features) -> None:
    found = LightgbmStroke(trained.trees, trained.facts).predict(chart)
    assert isinstance(found, Prediction)
    assert abs(math.fsum(c.log_odds for c in found.contributions) - (logit(found.probability) - logit(found.baseline))) < 1e-9
    unknown = {c.label for c in found.contributions if c.value == "not recorded"}
    assert unknown == set(found.missing) == {FEATURES[n].label for n in FEATURES if n not in chart.values}


@settings(deadline=None)
@given(chart=charts(whole=True), more=st.floats(0, 60))
def test_more_pressure_never_lowers_and_more_hdl_never_raises_the_risk(trained: Trained, chart: Features, more: float) -> None:
    model = LightgbmStroke(trained.trees, trained.facts)
    for name, direction in (("systolic-blood-pressure", 1), ("hdl-cholesterol", -1), ("age", 1), ("egfr", -1)):
        raised = chart.values[name].value + more if name != "age" else min(79.0, chart.values[name].value + more // 4)
        after = model.predict(Features(chart.patient, chart.sex, {**chart.values, name: Feature(raised)}))
        before = model.predict(chart)
        assert isinstance(before, Prediction)
        assert isinstance(after, Prediction)
        assert direction * (logit(after.probability) - logit(before.probability)) >= -1e-9


@pytest.mark.conformance("Prediction", "contributions by `pred_contrib`, checked against a brute-force Shapley value on a small tree")
@pytest.mark.parametrize("trees", [1, 3])
def test_pred_contrib_is_the_shapley_value_by_its_definition(trees: int) -> None:
    lightgbm = load_lightgbm()
    chance = np.random.default_rng(5)
    rows = chance.normal(size=(800, 5))
    rows[chance.random(rows.shape) < 0.1] = np.nan
    labels = (chance.random(800) < sigmoid(np.nan_to_num(rows) @ np.array([1.5, -1.0, 0.7, 0.0, 0.4]) - 1)).astype(float)
    parameters = {"objective": "binary", "num_leaves": 8, "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1, "seed": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, labels, params={"verbosity": -1}), num_boost_round=trees)
    dump = booster.dump_model()
    for row in rows[:25]:
        assert booster.predict(row[None, :], pred_contrib=True, num_threads=1)[0] == pytest.approx(brute_force(dump, row), abs=1e-12)


@pytest.mark.long
@pytest.mark.conformance("Prediction", "contributions equal those of the `shap` package")
def test_pred_contrib_equals_the_shap_package(trained: Trained) -> None:
    shap = pytest.importorskip("shap", reason="the PyPI package shap is not installed; it is an oracle for this test alone")
    booster = load_lightgbm().Booster(model_str=trained.trees)
    rows = synthetic_cohort(50, seed=9).rows
    ours = booster.predict(rows, pred_contrib=True, num_threads=1)[:, :-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = shap.TreeExplainer(booster).shap_values(rows)
    assert np.abs((values[1] if isinstance(values, list) else values) - ours).max() < 1e-9
