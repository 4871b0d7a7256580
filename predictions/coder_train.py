"""Train the coder: cross-fitted memory features, a LightGBM ranker on one thread, an affine calibration of its log-odds.

Features that are built from labels are always out of fold; so are the scores that the calibration is fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictions.coder_features import Candidates, Featurizer, Reading, read_note
from predictions.coder_lexicon import Lexicon
from predictions.coder_memory import build_memory
from predictions.coder_model import Card, CoderModel
from predictions.coder_trees import Trees, dump_to_trees
from predictions.codiesp import Chart
from predictions.lightgbm_loader import load_lightgbm
from terminology.icd10cm import Icd10cm

FOLDS = 5
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 24,
    "max_depth": 7,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
    "zero_as_missing": False,
    "use_missing": False,
}


@dataclass(frozen=True, slots=True)
class Examples:
    """Cross-fitted candidates of the training charts with their labels."""

    candidates: list[Candidates]
    labels: list[NDArray[np.float64]]
    fold: NDArray[np.int64]
    gold: list[int]


def chart_labels(found: Candidates, codes: Sequence[str]) -> NDArray[np.float64]:
    """Mark the candidates that people coded."""
    gold = set(codes)
    return np.array([float(c in gold) for c in found.codes])


def cross_fit(charts: Sequence[Chart], readings: Sequence[Reading], featurizer: Featurizer, seed: int) -> Examples:
    """Describe each chart with a memory that has not seen it."""
    fold = np.random.default_rng(seed).permutation(len(charts)) % FOLDS
    found: list[Candidates | None] = [None] * len(charts)
    for k in range(FOLDS):
        inside = np.flatnonzero(fold != k).tolist()
        memory = build_memory([readings[i].grams for i in inside], [charts[i].codes for i in inside])
        for i in np.flatnonzero(fold == k).tolist():
            found[i] = featurizer.candidates(readings[i], memory, len(charts[i].text))
    done = [c for c in found if c is not None]
    return Examples(done, [chart_labels(c, chart.codes) for c, chart in zip(done, charts, strict=True)], fold, [len(c.codes) for c in charts])


def fit_ranker(rows: NDArray[np.float64], labels: NDArray[np.float64], *, rounds: int, seed: int) -> Trees:
    """Fit the ranker deterministically; LightGBM is needed here and nowhere else."""
    lightgbm = load_lightgbm()
    data = lightgbm.Dataset(rows, labels, params={"verbose": -1})
    booster = lightgbm.train({**PARAMETERS, "seed": seed}, data, rounds)
    return dump_to_trees(booster.dump_model())


def fit_line(raw: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    """Fit p = sigmoid(a * raw + b) by Newton's method with Platt's smoothed targets.

    Spec: Platt 1999; Lin, Lin, Weng 2007.
    """
    positives = labels.sum()
    target = np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    theta = np.array([1.0, 0.0])
    x = np.stack([raw, np.ones_like(raw)])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(theta @ x)))
        hessian = (x * (p * (1 - p))) @ x.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, x @ (p - target))
        theta = theta - step
        if np.abs(step).max() < 1e-9:
            break
    return float(theta[0]), float(theta[1])


def best_threshold(probability: NDArray[np.float64], labels: NDArray[np.float64], gold: int) -> float:
    """Choose the probability from which on micro-F1 is best, on out-of-fold scores."""
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + gold)
    return float(probability[order[int(np.argmax(f1))]])


def out_of_fold(examples: Examples, *, rounds: int, seed: int) -> NDArray[np.float64]:
    """Score every training candidate with a ranker that has not seen its chart."""
    scores: list[NDArray[np.float64]] = [np.zeros(0)] * len(examples.candidates)
    for k in range(FOLDS):
        inside, outside = np.flatnonzero(examples.fold != k), np.flatnonzero(examples.fold == k)
        trees = fit_ranker(
            np.vstack([examples.candidates[i].rows for i in inside]), np.concatenate([examples.labels[i] for i in inside]), rounds=rounds, seed=seed
        )
        for i in outside:
            scores[i] = trees.raw(examples.candidates[i].rows)
    return np.concatenate(scores)


def train(charts: Sequence[Chart], icd: Icd10cm, *, trained_on: str, seed: int = 7, rounds: int = 200) -> CoderModel:
    """Train on fully coded charts."""
    if len(charts) < 2 * FOLDS:
        msg = f"{len(charts)} coded charts are too few to train on: at least {2 * FOLDS} are needed"
        raise ValueError(msg)
    lexicon = Lexicon(icd)
    readings = [read_note(lexicon, c.text) for c in charts]
    examples = cross_fit(charts, readings, Featurizer(icd, lexicon), seed)
    labels = np.concatenate(examples.labels)
    raw = out_of_fold(examples, rounds=rounds, seed=seed)
    slope, intercept = fit_line(raw, labels)
    threshold = best_threshold(1 / (1 + np.exp(-(slope * raw + intercept))), labels, sum(examples.gold))
    trees = fit_ranker(np.vstack([c.rows for c in examples.candidates]), labels, rounds=rounds, seed=seed)
    memory = build_memory([r.grams for r in readings], [c.codes for c in charts])
    card = Card(trained_on, len(charts), icd.release, seed, slope, intercept, threshold)
    return CoderModel(memory, trees, card)
