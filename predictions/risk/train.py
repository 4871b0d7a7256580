"""Train the LightGBM stroke model: small, monotone, one thread, the same from the same data; then recalibrate and measure it.

Three parts of the people, drawn by seed and outcome: 60 % train (the number of trees is chosen on them by cross-validation), 20 %
recalibrate, 20 % validate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chartloop.kernel.errors import Unprocessable
from predictions.lightgbm_loader import load_lightgbm
from predictions.risk.cohort import Cohort
from predictions.risk.features import FEATURES, MALE
from predictions.risk.recalibration import Affine, Vector, fit_affine, sigmoid
from predictions.risk.systems import LIGHTGBM
from predictions.risk.validation import by_sex, figures

MOST_TREES: Final = 200
FOLDS: Final = 5
MIN_EVENTS: Final = 50
PARAMETERS: Final[Mapping[str, Any]] = {
    "objective": "binary",
    "metric": "binary_logloss",
    "num_leaves": 8,
    "learning_rate": 0.05,
    "min_data_in_leaf": 40,
    "lambda_l2": 1.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model as its three files say it: the trees, the facts that go with them, how it did on people it had not seen."""

    trees: str
    facts: dict[str, Any]
    validation: dict[str, Any]


def train(cohort: Cohort, *, labels_source: str, data: str, years: float, demo: bool, date: str, seed: int = 7) -> Trained:
    """Train, recalibrate and validate.

    Args:
        cohort: Columns are names of FEATURES.
        labels_source: Where the labels came from; shown beside every prediction.
        data: What the people are, for the validation record.
        years: The horizon of the labels.
        demo: Whether the data are made up: the model then counts in the demo alone.
        date: When it was trained, as FHIR writes it.
        seed: Of the parts, folds and trees.

    Raises:
        Unprocessable: Too few people had a stroke to show anything.
    """
    if cohort.labels.sum() < MIN_EVENTS:
        raise Unprocessable(f"Only {int(cohort.labels.sum())} of {len(cohort.labels)} people had a stroke; at least {MIN_EVENTS} are needed.")
    lightgbm = load_lightgbm()
    fit, tune, hold = parts(cohort.labels, (0.6, 0.2, 0.2), seed)
    directions = [FEATURES[name].rises for name in cohort.names]
    rounds = best_rounds(lightgbm, cohort.rows[fit], cohort.labels[fit], directions, seed)
    booster = grow(lightgbm, cohort.rows[fit], cohort.labels[fit], directions, rounds=rounds, seed=seed)
    affine = fit_affine(raw_scores(booster, cohort.rows[tune]), cohort.labels[tune])
    if affine.slope <= 0:
        raise Unprocessable("On people it was not trained on the model ranks no better than chance: its recalibration slope is not above 0.")
    trees = booster.model_to_string()
    facts = _facts(trees, cohort.names, directions, affine, {"labels_source": labels_source, "years": years, "trained": date, "trees": rounds, "seed": seed})
    risk = sigmoid(affine.intercept + affine.slope * raw_scores(booster, cohort.rows[hold]))
    measured = by_sex(risk, cohort.labels[hold], cohort.column(MALE)[hold])
    validation = {"model": LIGHTGBM, "version": facts["version"], **measured, "people": len(cohort.labels), "data": data, "demo": demo, "date": date}
    return Trained(trees, facts, validation)


def version_of(trees: str, facts: Mapping[str, Any]) -> str:
    """Return the content hash of a model: its trees and every fact that changes a prediction or what is said of it."""
    said = {name: facts[name] for name in ("features", "recalibration", "labels_source", "years")}
    return hashlib.sha256(trees.encode() + json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def _facts(trees: str, names: Sequence[str], directions: Sequence[int], affine: Affine, given: Mapping[str, Any]) -> dict[str, Any]:
    monotone = dict(zip(names, directions, strict=True))
    facts = {"id": LIGHTGBM, "features": list(names), "monotone": monotone, "recalibration": affine._asdict(), **given}
    return {**facts, "version": version_of(trees, facts)}


def parts(labels: Vector, shares: Sequence[float], seed: int) -> list[Numbers]:
    """Divide people at random into parts of these shares, each with its share of outcomes."""
    chance = np.random.default_rng(seed)
    divided: list[list[Numbers]] = [[] for _ in shares]
    for outcome in (0.0, 1.0):
        order = chance.permutation(np.flatnonzero(labels == outcome))
        ends = np.round(np.cumsum(shares) * len(order)).astype(int)
        for part, piece in zip(divided, np.split(order, ends[:-1]), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(pieces)) for pieces in divided]


def folds(labels: Vector, seed: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield (train, test) of each cross-validation fold."""
    pieces = parts(labels, [1 / FOLDS] * FOLDS, seed)
    for piece in pieces:
        yield np.setdiff1d(np.arange(len(labels)), piece), piece


def grow(lightgbm: ModuleType, rows: Vector, labels: Vector, directions: Sequence[int], *, rounds: int, seed: int) -> Any:
    """Grow a booster of so many trees."""
    data = lightgbm.Dataset(rows, labels, params={"verbosity": -1, "num_threads": 1})
    return lightgbm.train({**PARAMETERS, "monotone_constraints": list(directions), "seed": seed}, data, num_boost_round=rounds)


def raw_scores(booster: Any, rows: Vector, rounds: int | None = None) -> Vector:
    """Return uncalibrated log-odds."""
    found: Vector = booster.predict(rows, raw_score=True, num_threads=1, num_iteration=rounds)
    return found


def best_rounds(lightgbm: ModuleType, rows: Vector, labels: Vector, directions: Sequence[int], seed: int) -> int:
    """Choose the number of trees with the least log loss on the folds left out."""
    tried = range(10, MOST_TREES + 1, 10)
    loss = np.zeros(len(tried))
    for learn, test in folds(labels, seed):
        booster = grow(lightgbm, rows[learn], labels[learn], directions, rounds=MOST_TREES, seed=seed)
        for number, rounds in enumerate(tried):
            risk = np.clip(sigmoid(raw_scores(booster, rows[test], rounds)), 1e-12, 1 - 1e-12)
            loss[number] -= float((labels[test] * np.log(risk) + (1 - labels[test]) * np.log1p(-risk)).sum())
    return tried[int(np.argmin(loss))]


def cross_validated(rows: Vector, labels: Vector, directions: Sequence[int], male: Vector, *, seed: int = 7) -> dict[str, Any]:
    """Measure the method on any table by five folds: each person's risk comes from a model that has not seen that person.

    In each fold the model is recalibrated on folds of its own part, so that the figures are of what would be shipped.
    """
    lightgbm = load_lightgbm()
    risk = np.zeros(len(labels))
    for learn, test in folds(labels, seed):
        fit, tune = parts(labels[learn], (0.75, 0.25), seed)
        rounds = best_rounds(lightgbm, rows[learn][fit], labels[learn][fit], directions, seed)
        booster = grow(lightgbm, rows[learn][fit], labels[learn][fit], directions, rounds=rounds, seed=seed)
        affine = fit_affine(raw_scores(booster, rows[learn][tune]), labels[learn][tune])
        risk[test] = sigmoid(affine.intercept + affine.slope * raw_scores(booster, rows[test]))
    found = by_sex(risk, labels, male)
    return {**found, "base_brier": figures(np.full(len(labels), labels.mean()), labels)["brier"]}
