"""AHA PREVENT 2023, base model, stroke within 10 years, behind the port; its contributions are the equation's own terms.

The baseline is a person of the same age and sex with the equation's reference values: systolic pressure 130 mm[Hg], HDL cholesterol
1.3 mmol/L (50 mg/dL), non-HDL cholesterol 3.5 mmol/L (135 mg/dL), eGFR 90, no diabetes, no smoking, neither antihypertensive nor statin. All terms but age are centred on them, so age
cancels and what each concept adds is exact. A product belongs to the concept it modifies: age times pressure to the pressure, treatment
times pressure to the treatment, statin times cholesterol to the statin. Body mass index is in the equations, but not in the one for stroke.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from predictions.risk import features as f
from predictions.risk.eligibility import NEEDED, missing_for_equation
from predictions.risk.features import FEATURES, Feature, Features
from predictions.risk.model import Contribution, Insufficient, Prediction, Quantity
from predictions.risk.prevent import Person, probability, terms
from predictions.risk.systems import PREVENT

NON_HDL: Final = "non-hdl-cholesterol"
SHOWN_DIGITS: Final = 1
"""Digits behind the point that people are shown; the calculation takes the value as it was recorded."""
CONCEPTS: Final[Mapping[str, tuple[str, ...]]] = {
    f.SYSTOLIC: ("sbp_low", "sbp_high", "age*sbp_high"),
    f.DIABETES: ("diabetes", "age*diabetes"),
    f.SMOKING: ("smoking", "age*smoking"),
    NON_HDL: ("non_hdl", "age*non_hdl"),
    f.HDL: ("hdl", "age*hdl"),
    f.EGFR: ("egfr_low", "egfr_high", "age*egfr_low"),
    f.ANTIHYPERTENSIVE: ("antihypertensive", "antihypertensive*sbp_high"),
    f.STATIN: ("statin", "statin*non_hdl"),
}
"""The terms of each clinical concept; `constant` and `age` are the baseline's."""


class PreventStroke:
    """The published equation."""

    id = PREVENT
    version = "1.0.0"
    title = "AHA PREVENT 2023, stroke, 10 years"
    years = 10.0
    uses = frozenset({*NEEDED, f.DIABETES, f.ANTIHYPERTENSIVE, f.STATIN, f.CARDIOVASCULAR})
    labels_source = ""

    def predict(self, features: Features) -> Prediction | Insufficient:
        """Predict, or name what is missing."""
        missing = missing_for_equation(features)
        if missing:
            return Insufficient(missing)
        added = terms(features_to_person(features))
        base = math.fsum(value for name, value in added.items() if name in {"constant", "age"})
        risk = probability(math.fsum(added.values()))
        contributions = tuple(_contribution(features, concept, math.fsum(added[name] for name in names)) for concept, names in CONCEPTS.items())
        return Prediction(risk, probability(base), baseline_text(features), contributions)


def features_to_person(features: Features) -> Person:
    """Return the equation's inputs; everything it needs is recorded."""
    number = features.number
    return Person(
        sex=features.sex,
        age=number(f.AGE),
        total_cholesterol=number(f.TOTAL),
        hdl_cholesterol=number(f.HDL),
        systolic=number(f.SYSTOLIC),
        egfr=number(f.EGFR),
        diabetes=features.flag(f.DIABETES),
        smoking=features.flag(f.SMOKING),
        antihypertensive=features.flag(f.ANTIHYPERTENSIVE),
        statin=features.flag(f.STATIN),
    )


def baseline_text(features: Features) -> str:
    """Describe the reference person of the same age and sex; the module says which values."""
    return f"a {'woman' if features.sex == 'female' else 'man'} of {features.number(f.AGE):.0f} with the reference values of the equation"


def _contribution(features: Features, concept: str, log_odds: float) -> Contribution:
    if concept == NON_HDL:
        total, hdl = features.values[f.TOTAL], features.values[f.HDL]
        value = Quantity(round(total.value - hdl.value, SHOWN_DIGITS), "mg/dL")
        basis = tuple(dict.fromkeys((*total.basis, *hdl.basis)))
        return Contribution(NON_HDL, "Non-HDL cholesterol", value, log_odds, min(total.date, hdl.date), basis)
    feature = features.values.get(concept, Feature(0.0, said=f.NO_FLAG))
    return Contribution(concept, FEATURES[concept].label, shown(concept, feature), log_odds, feature.date, feature.basis)


def shown(name: str, feature: Feature) -> Quantity | str:
    """Return a value as people read it."""
    unit = FEATURES[name].unit
    if unit:
        return Quantity(round(feature.value, SHOWN_DIGITS), unit)
    return feature.said or ("yes" if feature.value else "no")
