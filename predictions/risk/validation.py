"""How well a model does on people it was not trained on: discrimination, calibration, by sex; and the record of it.

Spec: TRIPOD+AI, https://doi.org/10.1136/bmj-2023-078378
"""

from __future__ import annotations

from typing import Any

import numpy as np

from predictions.risk.recalibration import Vector, fit_affine


def auc(risk: Vector, labels: Vector) -> float | None:
    """Return the probability that who had the outcome was given the higher risk, ties half; None if one kind is absent."""
    events = float(labels.sum())
    if not 0 < events < len(labels):
        return None
    _, inverse, counts = np.unique(risk, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels == 1].sum() - events * (events + 1) / 2) / (events * (len(labels) - events)))


def figures(risk: Vector, labels: Vector) -> dict[str, Any]:
    """Measure one group: n, events, AUC, calibration slope, observed to expected, Brier score.

    Args:
        risk: Predicted probabilities, shape (n,).
        labels: 1 for who had the outcome, shape (n,).
    """
    n, events, expected = len(labels), int(labels.sum()), float(risk.sum())
    found: dict[str, Any] = {"n": n, "events": events, "auc": None, "slope": None, "oe": None, "brier": None}
    if n:
        found["brier"] = round(float(np.mean((risk - labels) ** 2)), 5)
        found["oe"] = round(events / expected, 3) if expected > 0 else None
    if 0 < events < n:
        inside = np.clip(risk, 1e-12, 1 - 1e-12)
        area = auc(risk, labels)
        found["auc"] = None if area is None else round(area, 4)
        found["slope"] = round(fit_affine(np.log(inside / (1 - inside)), labels).slope, 3)
    return found


def by_sex(risk: Vector, labels: Vector, male: Vector) -> dict[str, Any]:
    """Measure everybody, and women and men apart."""
    return {**figures(risk, labels), "by_sex": {name: figures(risk[male == value], labels[male == value]) for name, value in (("female", 0), ("male", 1))}}
