"""Measure a coder on coded charts: MAP, micro-F1, precision at 1 and 5, calibration error, certified coverage, latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chartloop.kernel import clock
from predictions.calibration import ALPHA, DELTA, ScoredChart, certify_threshold, gated
from predictions.coder import Coder
from predictions.coder_features import Featurizer, read_note
from predictions.coder_lexicon import Lexicon
from predictions.coder_train import chart_labels
from predictions.codiesp import Chart
from terminology.icd10cm import Icd10cm

SPLITS = 100


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one model on one corpus."""

    model: str
    charts: int
    codes: int
    map: float
    micro_f1: float
    precision_at_1: float
    precision_at_5: float
    candidate_recall: float
    ece: float
    ece_above_0_3: float
    certified: dict[str, float]
    p50_ms: float
    p99_ms: float

    def rows(self) -> dict[str, Any]:
        """Return the report as a plain mapping."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scored:
    """All candidates of one chart with probability and truth."""

    probability: NDArray[np.float64]
    labels: NDArray[np.float64]
    gold: int


def average_precision(scored: Scored) -> float:
    """Return the average precision of one ranking over all gold codes, those never retrieved included."""
    hits = scored.labels[np.argsort(-scored.probability, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / scored.gold)


def calibration_error(probability: NDArray[np.float64], labels: NDArray[np.float64], bins: int = 15) -> float:
    """Return the expected calibration error over equal-width bins."""
    if not len(probability):
        return 0.0
    where = np.minimum((probability * bins).astype(int), bins - 1)
    size = np.bincount(where, minlength=bins)
    gap = np.abs(np.bincount(where, probability, bins) - np.bincount(where, labels, bins))
    return float(gap[size > 0].sum() / len(probability))


def report(coder: Coder, charts: Sequence[Chart], icd: Icd10cm, *, seed: int = 7) -> Report:
    """Run the coder over coded charts and measure it; the threshold of F1 is the model's own, not the best on these charts."""
    lexicon = Lexicon(icd)
    featurizer = Featurizer(icd, lexicon)
    scored: list[Scored] = []
    for chart in charts:
        found = featurizer.candidates(read_note(lexicon, chart.text), coder.model.memory, len(chart.text))
        scored.append(Scored(coder.model.probability(found.rows), chart_labels(found, chart.codes), len(chart.codes)))
    gates, times = [], []
    for chart in charts:
        began = clock.monotonic_s()
        suggestions = coder.suggest(chart.text)
        times.append((clock.monotonic_s() - began) * 1000)
        gates.append(ScoredChart(tuple((s.confidence, s.code in chart.codes) for s in gated(suggestions, icd))))
    p, y = np.concatenate([s.probability for s in scored]), np.concatenate([s.labels for s in scored])
    gold = sum(s.gold for s in scored)
    picked = p >= coder.model.card.threshold
    high = p > 0.3
    tops = [s.labels[np.argsort(-s.probability, kind="stable")] for s in scored]
    return Report(
        model=coder.version,
        charts=len(charts),
        codes=gold,
        map=float(np.mean([average_precision(s) for s in scored])),
        micro_f1=float(2 * y[picked].sum() / (picked.sum() + gold)),
        precision_at_1=float(np.mean([t[:1].sum() for t in tops])),
        precision_at_5=float(np.mean([t[:5].sum() / 5 for t in tops])),
        candidate_recall=float(y.sum() / gold),
        ece=calibration_error(p, y),
        ece_above_0_3=calibration_error(p[high], y[high]),
        certified=certified_coverage(gates, [s.gold for s in scored], seed=seed),
        p50_ms=float(np.percentile(times[1:] or times, 50)),
        p99_ms=float(np.percentile(times[1:] or times, 99)),
    )


def certified_coverage(charts: Sequence[ScoredChart], gold: Sequence[int], *, seed: int, splits: int = SPLITS) -> dict[str, float]:
    """Certify on one random half and test on the other, many times: does the promise hold, and what does it buy?"""
    rng = np.random.default_rng(seed)
    errors, coverage, per_chart, broken, none = [], [], [], 0, 0
    for _ in range(splits):
        order = rng.permutation(len(charts))
        half = len(order) // 2
        certificate = certify_threshold([charts[i] for i in order[:half]], seed=int(rng.integers(2**31)))
        if certificate.threshold is None:
            none += 1
            coverage.append(0.0)
            per_chart.append(0.0)
            continue
        test = order[half:]
        taken = [hit for i in test for p, hit in charts[i].codes if p >= certificate.threshold]
        error = 1 - sum(taken) / max(len(taken), 1)
        errors.append(error)
        broken += error > ALPHA
        coverage.append(sum(taken) / sum(gold[i] for i in test))
        per_chart.append(len(taken) / len(test))
    return {
        "alpha": ALPHA,
        "delta": DELTA,
        "splits": splits,
        "certified_share": 1 - none / splits,
        "test_error": float(np.mean(errors)) if errors else 0.0,
        "promise_broken_share": broken / splits,
        "gold_coverage": float(np.mean(coverage)),
        "codes_per_chart": float(np.mean(per_chart)),
    }
