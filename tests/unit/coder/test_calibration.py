"""Calibration records and routing: what may go onto a claim without a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictions.calibration import (
    ALPHA,
    DEMO_POPULATION,
    DEMO_RECORD,
    CalibrationRecord,
    ScoredChart,
    binomial_upper,
    certify_threshold,
    gated,
    read_record,
    refusal,
    route,
    write_record,
)
from predictions.coder import Coder, Suggestion
from terminology.icd10cm import load

RECORD = CalibrationRecord("site", 0.1, 0.05, 250, 400, 0.8, 0.09, 1000, 1, "m", "2026-11-22").sealed()


def suggestion(code: str = "I10", confidence: float = 0.95, **changes: object) -> Suggestion:
    base = Suggestion(code, "Essential (primary) hypertension", confidence, 0, 5, negated=False, billable=True, sensitive=False)
    return replace(base, **changes)  # type: ignore[arg-type]


def charts(seed: int, accuracy: float, count: int = 300) -> list[ScoredChart]:
    rng = np.random.default_rng(seed)
    return [ScoredChart(tuple((float(p), bool(rng.random() < accuracy)) for p in rng.uniform(0.5, 1.0, 4))) for _ in range(count)]


@pytest.mark.parametrize(("errors", "codes", "bound"), [(0, 59, 0.0495), (5, 100, 0.1023), (10, 10, 1.0), (0, 1, 0.95)])
def test_the_clopper_pearson_bound_is_the_published_one(errors: int, codes: int, bound: float) -> None:
    assert binomial_upper(errors, codes, 0.05) == pytest.approx(bound, abs=2e-4)


@pytest.mark.conformance("Coding", "a threshold is certified where the error is bounded by alpha, and not otherwise")
def test_good_scores_certify_and_bad_ones_do_not() -> None:
    assert certify_threshold(charts(1, 0.97), seed=1).threshold is not None
    assert certify_threshold(charts(1, 0.97), seed=1).upper_bound <= ALPHA
    assert certify_threshold(charts(1, 0.85), seed=1).threshold is None
    assert certify_threshold([], seed=1).threshold is None


@pytest.mark.conformance("The loop", "3 Codes: with shuffled labels nothing certifies")
def test_with_shuffled_labels_nothing_certifies() -> None:
    icd = load()
    from predictions.synthetic_notes import synthetic_charts

    coder = Coder.open()
    notes = synthetic_charts(icd, "B", charts=60, seed=77)
    shuffled = [notes[(n + 1) % len(notes)].codes for n in range(len(notes))]
    scored = [ScoredChart(tuple((s.confidence, s.code in codes) for s in gated(coder.suggest(c.text), icd))) for c, codes in zip(notes, shuffled, strict=True)]
    assert certify_threshold(scored, seed=7).threshold is None


def test_few_codes_certify_nothing_however_good() -> None:
    assert certify_threshold(charts(1, 1.0, count=10), seed=1).threshold is None


@pytest.mark.conformance("The loop", "3 Codes: charts are resampled: errors of one chart count together")
def test_errors_of_one_chart_count_together() -> None:
    clustered = [ScoredChart(((0.95, n % 16 != 0),) * 8) for n in range(64)]
    spread = [ScoredChart(tuple((0.95, (n * 8 + k) % 16 != 0) for k in range(8))) for n in range(64)]
    certified = [certify_threshold(c, seed=3, alpha=0.095).threshold is not None for c in (clustered, spread)]
    assert certified == [False, True]


def test_a_certified_and_gated_code_goes_onto_the_claim() -> None:
    routed = route([suggestion()], RECORD, load(), model_hash="m", demo=False)
    assert [s.code for s in routed.auto] == ["I10"]


@pytest.mark.conformance("The loop", "3 Codes: every hard gate holds whatever the confidence: evidence, billable, not negated, not psychiatric, threshold")
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"start": -1, "end": -1}, "no-evidence"),
        ({"billable": False}, "not-billable"),
        ({"negated": True}, "negated"),
        ({"sensitive": True}, "sensitive"),
        ({"confidence": 0.79}, "below-threshold"),
    ],
)
def test_each_gate_holds_whatever_the_confidence(changed: dict[str, object], reason: str) -> None:
    routed = route([suggestion(**changed)], RECORD, load(), model_hash="m", demo=False)
    assert not routed.auto
    assert routed.review[0][1] == (reason,)


@pytest.mark.conformance("The loop", "3 Codes: a missing, altered or foreign calibration record appends nothing")
@pytest.mark.parametrize(
    "record",
    [
        None,
        replace(RECORD, threshold=0.1),
        replace(RECORD, model_hash="other").sealed(),
        replace(RECORD, threshold=None).sealed(),
        replace(RECORD, population=DEMO_POPULATION).sealed(),
    ],
)
def test_without_a_record_that_holds_here_nothing_is_appended(record: CalibrationRecord | None) -> None:
    assert refusal(record, model_hash="m", demo=False)
    routed = route([suggestion(confidence=1.0)], record, load(), model_hash="m", demo=False)
    assert not routed.auto
    assert "uncertified" in routed.review[0][1]


@pytest.mark.conformance("The loop", "3 Codes: a record of population synthetic-demo works under the demo alone")
def test_the_demo_record_works_in_the_demo_alone() -> None:
    record = read_record(DEMO_RECORD)
    assert record is not None
    assert record.population == DEMO_POPULATION
    assert record.model_hash == Coder.open().model_hash, "certify again: the shipped model changed"
    assert refusal(record, model_hash=record.model_hash, demo=True) == ""
    assert refusal(record, model_hash=record.model_hash, demo=False)


@pytest.mark.conformance("Coding", "of two codes that exclude each other the surer goes onto the Claim")
def test_of_two_codes_that_exclude_each_other_the_surer_goes() -> None:
    both = [suggestion("E11.9", 0.99), suggestion("E10.9", 0.97)]
    routed = route(both, RECORD, load(), model_hash="m", demo=False)
    assert [s.code for s in routed.auto] == ["E11.9"]
    assert routed.review[0][1] == ("excludes1",)


def test_an_unspecified_code_gives_way_to_one_that_says_more() -> None:
    both = [suggestion("I48.91", 0.99, display="Unspecified atrial fibrillation"), suggestion("I48.0", 0.9, display="Paroxysmal atrial fibrillation")]
    assert [s.code for s in route(both, RECORD, load(), model_hash="m", demo=False).auto] == ["I48.0"]


@pytest.mark.conformance("Coding", "of a sensitive note every code goes to a person")
def test_of_a_sensitive_note_everything_goes_to_a_person() -> None:
    routed = route([suggestion()], RECORD, load(), model_hash="m", demo=False, hold_all=True)
    assert not routed.auto
    assert routed.review[0][1] == ("sensitive",)


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    write_record(RECORD, tmp_path / "record.json")
    assert read_record(tmp_path / "record.json") == RECORD
    assert read_record(tmp_path / "none.json") is None


@given(st.lists(st.tuples(st.sampled_from(["I10", "E11.9", "E10.9", "J18.9", "N39.0"]), st.floats(0, 1)), max_size=12))
def test_no_suggestion_is_both_appended_and_reviewed_and_no_appended_pair_excludes_itself(pairs: list[tuple[str, float]]) -> None:
    icd = load()
    routed = route([suggestion(c, p) for c, p in dict(pairs).items()], RECORD, icd, model_hash="m", demo=False)
    auto, review = {s.code for s in routed.auto}, {s.code for s, _ in routed.review}
    assert not auto & review
    assert not any(icd.excludes1(a, b) for a in auto for b in auto)
