"""The shipped coder: evidence, gates, its file, and scoring without LightGBM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from predictions.coder import Coder, read_sensitive
from predictions.coder_model import load_model, save_model
from predictions.coder_train import PARAMETERS, train
from predictions.coder_trees import dump_to_trees
from predictions.lightgbm_loader import load_lightgbm
from predictions.synthetic_notes import SETS, rare_phrases, read_phrases, synthetic_charts
from terminology.icd10cm import load

NOTE = "Chief complaint: cough.\nNo pneumonia. Her mother had gout.\nAssessment and plan:\n1. Essential hypertension, above goal.\n2. Major depressive disorder, moderate.\n"


@pytest.fixture(scope="module")
def coder() -> Coder:
    return Coder.open()


@pytest.mark.conformance("The loop", "3 Codes: each suggestion has a confidence and an evidence span")
def test_a_suggestion_points_at_its_evidence(coder: Coder) -> None:
    found = {s.code: s for s in coder.suggest(NOTE)}
    assert NOTE[found["I10"].start : found["I10"].end] == "Essential hypertension"
    assert found["I10"].confidence > 0.5
    assert found["I10"].billable
    assert not found["I10"].negated


def test_suggestions_come_with_the_highest_confidence_first(coder: Coder) -> None:
    confidences = [s.confidence for s in coder.suggest(NOTE)]
    assert confidences == sorted(confidences, reverse=True)


@pytest.mark.parametrize(
    ("said", "code", "evidence"),
    [("No type 2 diabetes mellitus.", "E11.9", "type 2 diabetes mellitus"), ("Mother has gout.", "M10.9", "gout"), ("Brother has asthma.", "J45.909", "asthma")],
)
def test_what_is_denied_or_a_relatives_is_marked(coder: Coder, said: str, code: str, evidence: str) -> None:
    note = f"Assessment and plan:\n1. Essential hypertension.\n2. {said}\n"
    found = {s.code: s for s in coder.suggest(note)}
    assert (found[code].negated, note[found[code].start : found[code].end]) == (True, evidence)
    assert not found["I10"].negated
    assert {s.code for s in found.values() if evidence in note[s.start : s.end].lower() and not s.negated} == set()


def test_psychiatric_codes_are_sensitive_by_policy_data(coder: Coder) -> None:
    found = {s.code: s for s in coder.suggest(NOTE)}
    psychiatric = {code for code in found if code.startswith("F")}
    assert "F32.9" in psychiatric
    assert {code for code, s in found.items() if s.sensitive} == psychiatric
    assert "F" in read_sensitive()
    nobody = Coder(coder.model, load(), ())
    assert {s.code for s in nobody.suggest(NOTE) if s.code.startswith("F") and not s.sensitive} == psychiatric, "the data decides, not the program"


@pytest.mark.parametrize("text", ["", " \n\t", "...", "123", "漢字 😀", "a" * 5000, "no no no"])
def test_a_note_without_a_diagnosis_gets_no_confident_code(coder: Coder, text: str) -> None:
    assert all(s.confidence < 0.5 for s in coder.suggest(text))


@pytest.mark.conformance("The loop", "3 Codes: what ships is trained on synthetic notes alone")
def test_the_shipped_model_is_trained_on_synthetic_notes_alone(coder: Coder) -> None:
    assert coder.model.card.trained_on == "synthetic"
    assert coder.version.startswith("icd10cm-synthetic-")


@pytest.mark.conformance("Coding", "suggesting codes needs no LightGBM, no SciPy and no database")
def test_suggesting_codes_imports_no_lightgbm_and_no_database() -> None:
    script = "import sys; from predictions.coder import Coder; Coder.open().suggest('Gout.'); print([m for m in ('lightgbm', 'sqlalchemy', 'fhir_server', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout.strip() == "[]"


@pytest.mark.conformance("Coding", "trees are scored as LightGBM scores them")
def test_numpy_scores_the_trees_as_lightgbm_does() -> None:
    rng = np.random.default_rng(5)
    rows, labels = rng.normal(size=(600, 8)), (rng.random(600) > 0.6).astype(float)
    lightgbm = load_lightgbm()
    booster = lightgbm.train({**PARAMETERS, "seed": 1}, lightgbm.Dataset(rows, labels, params={"verbose": -1}), 30)
    assert np.abs(dump_to_trees(booster.dump_model()).raw(rows) - booster.predict(rows, raw_score=True, num_threads=1)).max() < 1e-9
    assert len(dump_to_trees(booster.dump_model()).raw(rows[:0])) == 0


@pytest.mark.long
@pytest.mark.conformance("Coding", "training twice gives the same file")
def test_training_twice_gives_the_same_file(tmp_path: Path) -> None:
    icd = load()
    charts = synthetic_charts(icd, "A", charts=30, seed=3)
    models = [save_model(train(charts, icd, trained_on="tiny", rounds=15), tmp_path / f"{n}.zst") for n in (1, 2)]
    assert (tmp_path / "1.zst").read_bytes() == (tmp_path / "2.zst").read_bytes()
    assert models[0].hash == load_model(tmp_path / "2.zst").hash
    found = {s.code for s in Coder(models[0], icd, ()).suggest(charts[0].text)}
    assert found & set(charts[0].codes)


def test_too_few_charts_are_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match="too few to train on"):
        train([], load(), trained_on="nothing")


@pytest.mark.conformance("The loop", "3 Codes: certification notes share no phrase and no sentence frame with training notes")
def test_the_two_sets_of_notes_share_no_phrase_and_no_sentence_frame() -> None:
    icd = load()
    phrases = [{p.lower() for v in read_phrases(s).values() for p in v} for s in SETS]
    assert not phrases[0] & phrases[1]
    rare = [{p for v in rare_phrases(icd, s).values() for p in v} for s in SETS]
    assert not rare[0] & rare[1]
    frames = [{f for part in (s.opening, s.complaint, s.story, s.negative, s.filler, s.positive, *s.headings) for f in part} - {"{}."} for s in SETS.values()]
    assert not frames[0] & frames[1]


def test_synthetic_notes_come_again_from_their_seed_and_carry_billable_codes() -> None:
    icd = load()
    assert synthetic_charts(icd, "B", charts=5, seed=9) == synthetic_charts(icd, "B", charts=5, seed=9)
    assert all(icd.billable(c) for chart in synthetic_charts(icd, "A", charts=20, seed=1) for c in chart.codes)
