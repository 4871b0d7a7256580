"""Training, validation records, labels and the registry of models."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from chartloop.cli.predictions import predictions
from chartloop.kernel.errors import Invalid, Unprocessable
from predictions.lightgbm_loader import NOT_INSTALLED
from predictions.risk.cohort import Cohort, stored_to_cohort, table_to_cohort
from predictions.risk.features import FEATURES, Feature, Features
from predictions.risk.model import Insufficient, Prediction
from predictions.risk.model_directory import write_model
from predictions.risk.model_label import checked, shipped_label
from predictions.risk.reading import Limits
from predictions.risk.recalibration import fit_affine, sigmoid
from predictions.risk.registry import Registry
from predictions.risk.synthetic_cohort import synthetic_cohort
from predictions.risk.train import Trained, parts, train
from predictions.risk.validation import auc, by_sex, figures

CHART = Features("Patient/p1", "male", {"age": Feature(60.0), "male": Feature(1.0), "systolic-blood-pressure": Feature(158.0)})


def trained_on(n: int = 6000, *, seed: int = 3, demo: bool = True) -> Trained:
    return train(synthetic_cohort(n, seed=seed), labels_source="made up", data="made up", years=10, demo=demo, date="2026-11-22")


@pytest.fixture(scope="module")
def trained() -> Trained:
    return trained_on()


@pytest.fixture
def directory(tmp_path: Path, trained: Trained) -> Path:
    write_model(trained, tmp_path)
    return tmp_path


def ids(registry: Registry) -> list[str]:
    return [model.id for model in registry.models()]


def test_the_same_data_and_seed_give_the_same_model(trained: Trained) -> None:
    assert trained_on() == trained
    assert trained_on(seed=4).facts["version"] != trained.facts["version"]


@pytest.mark.conformance(
    "Prediction", "`chartloop predictions train`: monotone constraints, one thread, affine recalibration, a validation record on people held out"
)
def test_a_model_is_small_monotone_and_measured_on_people_it_has_not_seen(trained: Trained) -> None:
    assert "[num_threads: 1]" in trained.trees
    assert "[deterministic: 1]" in trained.trees
    assert trained.facts["monotone"]["systolic-blood-pressure"] == 1
    assert trained.facts["trees"] <= 200
    assert all(int(line.partition("=")[2]) <= 8 for line in trained.trees.splitlines() if line.startswith("num_leaves="))
    held = trained.validation
    assert (held["n"], held["people"], held["demo"], held["version"]) == (1200, 6000, True, trained.facts["version"])
    assert held["auc"] > 0.65
    assert held["by_sex"]["female"]["n"] + held["by_sex"]["male"]["n"] == 1200


def test_too_few_strokes_train_nothing() -> None:
    with pytest.raises(Unprocessable, match="of 500 people had a stroke; at least 50 are needed"):
        trained_on(500)


def test_the_parts_are_disjoint_and_keep_the_share_of_outcomes() -> None:
    labels = (np.arange(1000) % 10 == 0).astype(float)
    divided = parts(labels, (0.6, 0.2, 0.2), 1)
    assert [len(p) for p in divided] == [600, 200, 200]
    assert [labels[p].sum() for p in divided] == [60, 20, 20]
    assert len(set(np.concatenate(divided).tolist())) == 1000


def test_recalibration_finds_the_line_that_made_the_labels() -> None:
    chance = np.random.default_rng(1)
    raw = chance.normal(-1, 1.5, 200_000)
    labels = (chance.random(len(raw)) < sigmoid(0.4 + 0.7 * raw)).astype(float)
    assert fit_affine(raw, labels) == pytest.approx((0.4, 0.7), abs=0.03)
    with pytest.raises(ValueError, match="people with the outcome and people without"):
        fit_affine(raw, np.zeros(len(raw)))


def test_the_figures_of_a_group_by_hand() -> None:
    risk, labels = np.array([0.1, 0.2, 0.2, 0.9]), np.array([0.0, 1.0, 0.0, 1.0])
    assert auc(risk, labels) == pytest.approx(3.5 / 4)
    found = figures(risk, labels)
    assert (found["n"], found["events"], found["oe"], found["brier"]) == (4, 2, round(2 / 1.4, 3), pytest.approx((0.01 + 0.64 + 0.04 + 0.01) / 4))
    assert by_sex(risk, labels, np.array([0, 0, 0, 0]))["by_sex"]["male"] == {"n": 0, "events": 0, "auc": None, "slope": None, "oe": None, "brier": None}


def test_a_table_names_the_column_or_line_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("age,male,smoking,stroke\n60,1,,0\n70,0,1,1\n")
    cohort = table_to_cohort(path)
    assert cohort.names == ("age", "male", "smoking")
    assert np.isnan(cohort.rows[0, 2])
    assert cohort.labels.tolist() == [0, 1]
    for text, said in (
        ("age,male,shoe,stroke\n", "unknown \\['shoe'\\]"),
        ("age,stroke\n", "absent \\['male'\\]"),
        ("age,male,stroke\n60,1,0\nold,1,0\n", "Line 3, column age"),
        ("age,male,stroke\n60,1,2\n", "Every stroke must be 1 or 0"),
    ):
        path.write_text(text)
        with pytest.raises(Invalid, match=said):
            table_to_cohort(path)


def test_the_store_s_cohort_has_features_before_and_strokes_after_the_index_date() -> None:
    from chartloop.kernel.clock import parse_iso
    from fhir_server.store import Stored
    from tests.unit.risk.charts import DIABETES, PATIENT, measured

    def stored(resource: dict) -> Stored:
        return Stored(resource["resourceType"], resource["id"], 1, 0, json.dumps(resource).encode(), redacted=False, deleted=False)

    def of(n: int, resource: dict, **more: object) -> Stored:
        return stored({**resource, "id": f"{resource['id']}{n}", "subject": {"reference": f"Patient/p{n}"}, **more})

    def stroke(n: int, began: str) -> Stored:
        return of(n, DIABETES, code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I63.9"}]}, onsetDateTime=began)

    people = [stored({**PATIENT, "id": f"p{n}"}) for n in range(5)]
    before, after = measured("bp", "8480-6", 150, "mm[Hg]", "2020-01-01T00:00:00Z"), measured("later", "8480-6", 99, "mm[Hg]", "2022-01-01T00:00:00Z")
    resources = [
        *people,
        of(0, before),
        of(0, after),
        stroke(0, "2023-05-01"),
        stroke(1, "2019-01-01"),
        of(2, before),
        stroke(3, "2020-06-02"),
        stroke(4, "2027-01-01"),
    ]
    cohort = stored_to_cohort(resources, index_us=parse_iso("2020-06-01T00:00:00Z"), end_us=parse_iso("2026-01-01T00:00:00Z"), limits=Limits())
    assert cohort.labels.tolist() == [1, 0, 1, 0]  # p1 had a stroke before: prevalent, left out; p4's comes after the end
    assert cohort.column("systolic-blood-pressure").tolist()[0] == 150
    assert cohort.column("age").tolist() == [54] * 4


def test_a_trained_model_counts_from_the_next_prediction_on(tmp_path: Path, trained: Trained) -> None:
    registry = Registry(tmp_path, demo=True)
    assert ids(registry) == ["prevent-stroke-10y"]
    assert (registry.model_label("lightgbm-stroke"), registry.validated("lightgbm-stroke")) == (None, False)
    write_model(trained, tmp_path)
    assert ids(registry) == ["prevent-stroke-10y", "lightgbm-stroke"]
    assert registry.validated("lightgbm-stroke")
    model = registry.models()[1]
    assert registry.models()[1] is model
    assert isinstance(model.predict(CHART), Prediction)
    write_model(trained_on(seed=4), tmp_path)
    assert registry.models()[1].version != model.version
    for file in tmp_path.iterdir():
        file.unlink()
    assert ids(registry) == ["prevent-stroke-10y"]


@pytest.mark.conformance("Prediction", "a model validated on made-up people counts in the demo alone; without a validation record no model counts")
def test_a_model_without_a_record_that_counts_is_refused(directory: Path) -> None:
    outside = Registry(directory, demo=False)
    assert ids(outside) == ["prevent-stroke-10y"]
    assert "made-up people" in outside.refusal()
    assert not outside.validated("lightgbm-stroke")
    inside = Registry(directory, demo=True)
    assert inside.refusal() == ""
    (directory / "validation.json").unlink()
    assert ids(inside) == ["prevent-stroke-10y"]
    assert inside.refusal() == "validation.json is absent."
    assert outside.validated("prevent-stroke-10y")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("model.txt", lambda text: text.replace("leaf_value=", "leaf_value=9 ", 1), "model.txt and model.json do not belong together."),
        ("model.json", lambda text: text[:50], "A file cannot be read: JSONDecodeError."),
        ("model.json", lambda text: text.replace('"intercept"', '"offset"'), "model.txt and model.json do not belong together."),
        ("validation.json", lambda text: text.replace('"lightgbm-stroke"', '"other"'), "validation.json is of another model."),
        ("validation.json", lambda _: "{}", "model.json or validation.json lacks a field."),
        ("label.json", lambda _: "[]", "A model label has 31 attributes, numbered from 1."),
    ],
)
def test_a_broken_model_is_refused_in_one_sentence_and_the_equation_goes_on(directory: Path, name: str, change, said: str) -> None:
    registry = Registry(directory, demo=True)
    assert len(ids(registry)) == 2
    file = directory / name
    file.write_text(change(file.read_text()))
    assert (ids(registry), registry.refusal()) == (["prevent-stroke-10y"], said)


def test_trees_that_lightgbm_cannot_read_are_refused(tmp_path: Path, trained: Trained) -> None:
    from predictions.risk.train import version_of

    facts = {**trained.facts, "version": version_of("no trees", trained.facts)}
    write_model(Trained("no trees", facts, {**trained.validation, "version": facts["version"]}), tmp_path)
    registry = Registry(tmp_path, demo=True)
    assert (ids(registry), registry.refusal()) == (["prevent-stroke-10y"], "Its trees cannot be read: LightGBMError.")


def test_a_model_of_features_that_this_release_does_not_know_is_refused_with_their_names(tmp_path: Path, trained: Trained) -> None:
    from predictions.risk.train import version_of

    facts = {**trained.facts, "features": [*trained.facts["features"][:-1], "shoe-size"]}
    facts["version"] = version_of(trained.trees, facts)
    write_model(Trained(trained.trees, facts, {**trained.validation, "version": facts["version"]}), tmp_path)
    assert Registry(tmp_path, demo=True).refusal() == "The model uses features that this release does not know: shoe-size."


def test_a_model_touched_but_not_changed_is_still_the_same(directory: Path) -> None:
    registry = Registry(directory, demo=True)
    version = registry.models()[1].version
    os.utime(directory / "model.txt")
    assert registry.models()[1].version == version


def test_without_lightgbm_the_equation_works_and_one_sentence_says_so(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    registry = Registry(directory, demo=True)
    assert ids(registry) == ["prevent-stroke-10y"]
    assert registry.refusal() == NOT_INSTALLED
    result = CliRunner().invoke(predictions, ["train", "--data", str(directory / "d"), "--synthetic", "4000"])
    assert str(result.exception) == NOT_INSTALLED


def test_the_trained_model_needs_age_and_sex_and_nobody_who_had_a_stroke(directory: Path) -> None:
    model = Registry(directory, demo=True).models()[1]
    values = dict(CHART.values)
    assert model.predict(Features("Patient/p1", "", values)) == Insufficient(("Sex (female or male)",))
    assert model.predict(Features("Patient/p1", "male", {})) == Insufficient(("Age",))
    assert isinstance(model.predict(Features("Patient/p1", "male", {**values, "cardiovascular-disease": Feature(1.0)})), Insufficient)


@pytest.mark.conformance("Card", "the model label holds the 31 HTI-1 attributes as data")
def test_every_model_has_a_label_of_31_attributes(directory: Path, trained: Trained) -> None:
    registry = Registry(directory, demo=True)
    for model in registry.models():
        label = registry.model_label(model.id)
        assert label is not None
        assert (label["model"], label["version"]) == (model.id, model.version)
        assert [a["number"] for a in label["attributes"]] == list(range(1, 32))
        assert len({a["attribute"] for a in label["attributes"]}) == 31
        assert not any("$" in a["value"] for a in label["attributes"])
    values = {a["number"]: a["value"] for a in registry.model_label("lightgbm-stroke")["attributes"]}  # type: ignore[index]
    assert f"AUC {trained.validation['auc']}" in values[21]
    assert "made up" in values[13]
    assert values[27] == "unknown: measured on made-up people alone."
    assert registry.model_label("nobody") is None


def test_a_label_with_a_gap_is_refused() -> None:
    label = shipped_label("prevent-stroke-10y")
    with pytest.raises(Invalid, match="31 attributes"):
        checked(label[:-1])
    with pytest.raises(Invalid, match="what is not known says unknown"):
        checked([{**label[0], "value": " "}, *label[1:]])


@pytest.mark.conformance("Prediction", "the demo's LightGBM card names the source of its labels")
def test_the_command_trains_from_made_up_people_and_says_so(tmp_path: Path) -> None:
    runner, data = CliRunner(), ["--data", str(tmp_path)]
    made = runner.invoke(predictions, ["train", *data, "--synthetic", "4000"], catch_exceptions=False)
    assert "4000 people" in made.output
    facts = json.loads((tmp_path / "models" / "risk" / "model.json").read_text())
    assert facts["labels_source"].startswith("Synthetic: 4000 made-up people (seed 7); risk factors drawn from stated distributions")
    assert json.loads((tmp_path / "models" / "risk" / "validation.json").read_text())["demo"] is True
    refused = json.loads(runner.invoke(predictions, ["report", *data, "--json"], catch_exceptions=False).stdout)
    assert [m["id"] for m in refused["models"]] == ["prevent-stroke-10y"]
    assert "made-up people" in refused["refused"]


def test_the_command_trains_from_a_table_under_the_name_of_its_labels(tmp_path: Path) -> None:
    cohort: Cohort = synthetic_cohort(4000, seed=5)
    lines = [",".join([*FEATURES, "stroke"])]
    lines += [",".join("" if np.isnan(v) else f"{v:g}" for v in (*row, label)) for row, label in zip(cohort.rows, cohort.labels, strict=True)]
    table = tmp_path / "people.csv"
    table.write_text("\n".join(lines) + "\n")
    runner, data = CliRunner(), ["--data", str(tmp_path)]
    unsaid = runner.invoke(predictions, ["train", *data, "--table", str(table)])
    assert "--label-source" in unsaid.output
    assert unsaid.exit_code == 2
    made = runner.invoke(predictions, ["train", *data, "--table", str(table), "--label-source", "Registry of the clinic"], catch_exceptions=False)
    assert made.exit_code == 0
    report = runner.invoke(predictions, ["report", *data], catch_exceptions=False).output
    assert "labels: Registry of the clinic" in report
    assert "female: n" in report
    both = runner.invoke(predictions, ["train", *data, "--store", "--synthetic", "4000"])
    assert "Say one of" in both.output


@pytest.mark.long
def test_an_empty_store_trains_nothing_and_says_why(tmp_path: Path) -> None:
    result = CliRunner().invoke(predictions, ["train", "--data", str(tmp_path), "--store", "--label-source", "Problem list"])
    assert str(result.exception) == "Only 0 of 0 people had a stroke; at least 50 are needed."
