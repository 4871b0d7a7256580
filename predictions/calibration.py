"""Calibration records: above which confidence may a code be taken without a person, and who has shown that on which charts.

The promise of a record: with probability 1 - delta over the charts resampled, at most alpha of the codes taken are wrong on charts
like them. Thresholds are tested from the strictest down and the walk stops at the first that fails (fixed sequence testing), so the
promise holds for the threshold chosen.

Spec: https://arxiv.org/abs/2110.01052 (Learn then Test)
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from predictions.coder import Suggestion
from terminology.icd10cm import Icd10cm

ALPHA = 0.10
DELTA = 0.05
DEMO_POPULATION = "synthetic-demo"
DEMO_RECORD = Path(__file__).with_name("calibration_demo.json")
RESAMPLES = 1000
MIN_CODES = 150
STEPS = tuple(round(0.99 - 0.01 * n, 2) for n in range(50))
SIBLING = 0.3
REVIEW_FLOOR = 0.10
REVIEW_LIMIT = 15


@dataclass(frozen=True, slots=True)
class ScoredChart:
    """The gated suggestions of one chart: confidence, and whether people coded it too."""

    codes: tuple[tuple[float, bool], ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A threshold (None: nothing could be shown) with the bound on its error."""

    threshold: float | None
    codes: int
    upper_bound: float


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """What was shown, on whom, for which exact model; `hash` covers every other field."""

    population: str
    alpha: float
    delta: float
    charts: int
    codes: int
    threshold: float | None
    upper_bound: float
    resamples: int
    seed: int
    model_hash: str
    date: str
    hash: str = ""

    def sealed(self) -> CalibrationRecord:
        """Return the record with its hash filled in."""
        return replace(self, hash=self._digest())

    def intact(self) -> bool:
        """Say whether no field changed since it was sealed."""
        return self.hash == self._digest()

    def _digest(self) -> str:
        body = {k: v for k, v in asdict(self).items() if k != "hash"}
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Routed:
    """Where the suggestions of one note go: onto the claim, or before a person with the reasons why."""

    auto: tuple[Suggestion, ...]
    review: tuple[tuple[Suggestion, tuple[str, ...]], ...]


def binomial_upper(errors: int, codes: int, delta: float) -> float:
    """Return the Clopper-Pearson upper bound of an error rate at confidence 1 - delta.

    Spec: Clopper, Pearson 1934.
    """
    if errors >= codes:
        return 1.0
    low, high = errors / codes, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _binomial_cdf(errors, codes, middle) > delta:
            low = middle
        else:
            high = middle
    return high


def _binomial_cdf(k: int, n: int, p: float) -> float:
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p) for i in range(k + 1)]
    top = max(logs)
    return math.exp(top) * sum(math.exp(v - top) for v in logs)


def certify_threshold(charts: Sequence[ScoredChart], *, alpha: float = ALPHA, delta: float = DELTA, seed: int, resamples: int = RESAMPLES) -> Certificate:
    """Find the lowest threshold whose error is shown to be at most alpha; codes of one chart are resampled together."""
    weights = np.random.default_rng(seed).multinomial(len(charts), np.full(len(charts), 1 / len(charts)), size=resamples) if charts else np.zeros((0, 0))
    best = Certificate(None, 0, 1.0)
    for step in STEPS:
        taken = np.array([sum(p >= step for p, _ in c.codes) for c in charts], dtype=float)
        wrong = np.array([sum(p >= step and not hit for p, hit in c.codes) for c in charts], dtype=float)
        if taken.sum() < MIN_CODES:  # decided by the scores alone, so it does not bias the walk
            continue
        rates = np.sort((weights @ wrong) / np.maximum(weights @ taken, 1))
        clustered = float(rates[min(math.ceil((1 - delta) * resamples), resamples - 1)])
        bound = max(clustered, binomial_upper(int(wrong.sum()), int(taken.sum()), delta))
        if bound > alpha:
            break
        best = Certificate(step, int(taken.sum()), round(bound, 4))
    return best


def gate_reasons(suggestion: Suggestion) -> tuple[str, ...]:
    """Name the hard gates that keep a suggestion off the claim whatever its confidence."""
    return tuple(
        reason
        for reason, closed in (
            ("no-evidence", suggestion.start < 0 or suggestion.end <= suggestion.start),
            ("not-billable", not suggestion.billable),
            ("negated", suggestion.negated),
            ("sensitive", suggestion.sensitive),
        )
        if closed
    )


def gated(suggestions: Sequence[Suggestion], icd: Icd10cm) -> list[Suggestion]:
    """Return the suggestions that pass every hard gate; of two that Excludes1 forbids together, neither below the other's confidence."""
    ordered = sorted(suggestions, key=lambda s: -s.confidence)
    passed: list[Suggestion] = []
    for s in ordered:
        if not gate_reasons(s) and not less_specific(s, ordered) and not any(icd.excludes1(s.code, p.code) for p in passed):
            passed.append(s)
    return passed


def less_specific(suggestion: Suggestion, others: Sequence[Suggestion]) -> bool:
    """Say whether this is the unspecified code of a category of which a likely suggestion says more.

    Spec: ICD-10-CM Official Guidelines, Section I.B.2 (highest level of detail).
    """
    if "unspecified" not in suggestion.display.lower():
        return False
    return any(
        o.code[:3] == suggestion.code[:3] and o.code != suggestion.code and o.confidence >= SIBLING and "unspecified" not in o.display.lower() for o in others
    )


def refusal(record: CalibrationRecord | None, *, model_hash: str, demo: bool) -> str:
    """Say why a record certifies nothing here, '' if it holds."""
    if record is None:
        return "no calibration record"
    if not record.intact():
        return "the calibration record was altered"
    if record.model_hash != model_hash:
        return "the calibration record is of another model"
    if record.threshold is None:
        return "no threshold was certified"
    if record.population == DEMO_POPULATION and not demo:
        return "the calibration record is of the demo population"
    return ""


def route(suggestions: Sequence[Suggestion], record: CalibrationRecord | None, icd: Icd10cm, *, model_hash: str, demo: bool, hold_all: bool = False) -> Routed:
    """Send certified and gated suggestions onto the claim, the others above the review floor to a person.

    Args:
        suggestions: Of one note, any order.
        record: The calibration record in force, None if there is none.
        icd: For Excludes1 conflicts.
        model_hash: Of the model that made the suggestions.
        demo: Whether this is a demonstration; only then does a demo record count.
        hold_all: The note is sensitive: everything goes to a person.

    Returns:
        The two lists, highest confidence first.
    """
    ordered = sorted(suggestions, key=lambda s: -s.confidence)
    certified = not refusal(record, model_hash=model_hash, demo=demo)
    threshold = record.threshold if certified and record is not None and record.threshold is not None else math.inf
    passed = {s.code for s in gated(ordered, icd)}
    auto: list[Suggestion] = []
    review: list[tuple[Suggestion, tuple[str, ...]]] = []
    for s in ordered:
        reasons = list(gate_reasons(s))
        if not reasons and s.code not in passed:
            reasons.append("less-specific" if less_specific(s, ordered) else "excludes1")
        if hold_all and "sensitive" not in reasons:
            reasons.append("sensitive")
        if not certified:
            reasons.append("uncertified")
        elif s.confidence < threshold:
            reasons.append("below-threshold")
        if not reasons:
            auto.append(s)
        elif s.confidence >= REVIEW_FLOOR and len(review) < REVIEW_LIMIT:
            review.append((s, tuple(reasons)))
    return Routed(tuple(auto), tuple(review))


def read_record(path: Path) -> CalibrationRecord | None:
    """Read a record from a JSON file; None if the file does not exist."""
    return CalibrationRecord(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_record(record: CalibrationRecord, path: Path) -> None:
    """Write a sealed record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
