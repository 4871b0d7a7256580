"""From log-odds to percentage points: how much of a result one value accounts for."""

from __future__ import annotations

from math import exp, log
from typing import Final

_EDGE: Final = 1e-9


def percentage_points(probability: float, log_odds: float) -> float:
    """Say by how many points the result would differ without one contribution.

    The contributions of a prediction add up on the scale of log-odds, not on the scale of probability. So each is taken back alone:
    points = 100 * (p - expit(logit(p) - contribution)). That is positive where the contribution raises the result, always within
    -100 and 100, and it does not add up over the factors.

    Args:
        probability: The result of the model, between 0 and 1.
        log_odds: The contribution of one factor against the baseline.
    """
    inside = min(max(probability, _EDGE), 1 - _EDGE)
    result = log(inside / (1 - inside))
    return 100 * (_expit(result) - _expit(result - log_odds))


def _expit(x: float) -> float:
    if x >= 0:
        return 1 / (1 + exp(-x))
    grown = exp(x)
    return grown / (1 + grown)
