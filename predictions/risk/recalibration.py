"""Affine recalibration of log-odds on people the model was not trained on; it keeps contributions exact, as isotonic regression would not.

Spec: Cox 1958, Two further applications of a model for binary regression.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
STEPS = 100
RIDGE = 1e-9


class Affine(NamedTuple):
    """log-odds = intercept + slope * raw score."""

    intercept: float
    slope: float


def fit_affine(raw: Vector, labels: Vector) -> Affine:
    """Fit intercept and slope by maximum likelihood (Newton's method).

    Args:
        raw: Raw scores, shape (n,).
        labels: 1 for who had the outcome, else 0, shape (n,).

    Raises:
        ValueError: Everybody or nobody had the outcome.
    """
    events = float(labels.sum())
    if not 0 < events < len(labels):
        raise ValueError("Recalibration needs people with the outcome and people without.")
    design = np.column_stack([np.ones_like(raw), raw])
    coefficients = np.array([np.log(events / (len(labels) - events)), 0.0])
    for _ in range(STEPS):
        risk = sigmoid(design @ coefficients)
        gradient = design.T @ (labels - risk)
        hessian = (design * (risk * (1 - risk))[:, None]).T @ design + RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        coefficients = coefficients + step
        if float(np.abs(step).max()) < 1e-12:
            break
    return Affine(float(coefficients[0]), float(coefficients[1]))


def sigmoid(log_odds: Vector) -> Vector:
    """Return probabilities of log-odds."""
    result: Vector = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
    return result
