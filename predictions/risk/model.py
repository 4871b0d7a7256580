"""The port that every risk model answers behind: features in, a prediction with exact contributions out, or what is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from predictions.risk.features import Features


class Quantity(NamedTuple):
    """A value with its UCUM unit."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one clinical concept adds to the log-odds of the baseline.

    Attributes:
        feature: Its name, as in FEATURES or of a value made from them.
        value: A Quantity, or words ("yes", "not recorded").
        log_odds: Above 0 raises the risk.
    """

    feature: str
    label: str
    value: Quantity | str
    log_odds: float
    date: str = ""
    basis: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """A risk beside its baseline; the contributions add up to the difference of their log-odds.

    Attributes:
        probability: Between 0 and 1, both excluded.
        baseline: Probability of whom the contributions are counted from.
        baseline_text: Who that is.
        missing: Labels of what was not recorded and not needed.
    """

    probability: float
    baseline: float
    baseline_text: str
    contributions: tuple[Contribution, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Insufficient:
    """Why there is no prediction: what is not recorded, or lies outside what the model was made for."""

    missing: tuple[str, ...]


class RiskModel(Protocol):
    """A model of the risk of a stroke.

    Attributes:
        id: "prevent-stroke-10y".
        version: Changes whenever the same features could give another risk.
        title: For people.
        years: The horizon.
        uses: Names of the features that it looks at; nothing else becomes its basis, and nothing else changes its input hash.
        labels_source: Where the labels of a learned model came from; "" for a published equation.
    """

    id: str
    version: str
    title: str
    years: float
    uses: frozenset[str]
    labels_source: str

    def predict(self, features: Features) -> Prediction | Insufficient:
        """Predict for one patient."""
        ...


def logit(probability: float) -> float:
    """Return the log-odds of a probability."""
    return math.log(probability) - math.log1p(-probability)
