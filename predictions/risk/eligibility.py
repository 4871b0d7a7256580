"""Whom a model of a first stroke is for: adults of known sex without known cardiovascular disease, values within its range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from predictions.risk.features import AGE, CARDIOVASCULAR, EGFR, FEATURES, HDL, SHOWN_UNITS, SMOKING, SYSTOLIC, TOTAL, Features

RANGES: Final[Mapping[str, tuple[float, float]]] = {AGE: (30, 79), TOTAL: (130, 320), HDL: (20, 100), SYSTOLIC: (90, 180), EGFR: (15, 140)}
"""Inputs that the PREVENT equations take, both ends included, in the units of FEATURES."""

NEEDED: Final = (AGE, TOTAL, HDL, SYSTOLIC, EGFR, SMOKING)
"""What the equation cannot do without; of a diagnosis and a medicine, none recorded counts as none."""


def missing_for_equation(features: Features) -> tuple[str, ...]:
    """Name what keeps the equation from answering; nothing if it can."""
    return (*not_eligible(features), *_absent(features), *_outside(features, RANGES))


def not_eligible(features: Features) -> tuple[str, ...]:
    """Name what makes a first stroke the wrong question."""
    reasons = [] if features.sex else ["Sex (female or male)"]
    if features.flag(CARDIOVASCULAR):
        reasons.append("The model is for people without known cardiovascular disease; the chart records one")
    return tuple(reasons)


def outside_of(features: Features, name: str) -> tuple[str, ...]:
    """Name one value that is not recorded or outside the equations' range."""
    if name not in features.values:
        return (FEATURES[name].label,)
    return tuple(_outside(features, {name: RANGES[name]}))


def _absent(features: Features) -> Iterator[str]:
    return (FEATURES[name].label for name in NEEDED if name not in features.values)


def _outside(features: Features, ranges: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    for name, (low, high) in ranges.items():
        value = features.number(name)
        if value < low or value > high:
            definition = FEATURES[name]
            yield f"{definition.label} between {low:g} and {high:g} {SHOWN_UNITS.get(definition.unit, definition.unit)}; it is {value:.4g}"
