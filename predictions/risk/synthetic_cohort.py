"""A made-up cohort for the demonstration: risk factors from stated distributions, outcomes drawn by the PREVENT probability; seeded.

It shows that the pipeline works and nothing about people: a model trained on it can only learn the published equation back.
"""

from __future__ import annotations

import math
import random
from typing import Final

import numpy as np

from predictions.risk import features as f
from predictions.risk.cohort import Cohort
from predictions.risk.eligibility import RANGES
from predictions.risk.features import FEATURES
from predictions.risk.prevent import Person, log_odds, probability

LABELS_SOURCE: Final = (
    "Synthetic: {n} made-up people (seed {seed}); risk factors drawn from stated distributions, each outcome drawn with the probability that the "
    "AHA PREVENT 2023 stroke equation gives. No real person had any of these outcomes. For demonstration only."
)
DISTRIBUTIONS: Final = (
    "age uniform 30-79 a; sex 1:1; total cholesterol N(195,40) mg/dL; HDL N(57,15) women, N(48,13) men; systolic N(118+0.45(age-50),16) mm[Hg]; "
    "diabetes 0.04+0.004(age-30); smoking 0.15; eGFR N(105-0.75(age-40),15); antihypertensive logistic in pressure and age; statin logistic in age, "
    "cholesterol and diabetes; BMI N(28.5,5.5), without influence on the outcome; all cut to the equation's ranges; missing at random: "
    "cholesterol 5 %, eGFR 8 %, smoking 5 %, BMI 10 %"
)


def synthetic_cohort(n: int, *, seed: int) -> Cohort:
    """Draw a cohort of n people; the same seed gives the same people."""
    dice = random.Random(seed)
    drawn = [_person(dice) for _ in range(n)]
    rows = np.array([row for row, _ in drawn], dtype=np.float64).reshape(n, len(FEATURES))
    return Cohort(tuple(FEATURES), rows, np.array([label for _, label in drawn], dtype=np.float64))


def _person(dice: random.Random) -> tuple[list[float], float]:
    """Draw one person: a row in the order of FEATURES, and whether a stroke follows."""
    male = dice.random() < 0.5
    age = float(dice.randint(30, 79))
    total = _cut(f.TOTAL, dice.gauss(195, 40))
    hdl = _cut(f.HDL, dice.gauss(48, 13) if male else dice.gauss(57, 15))
    systolic = _cut(f.SYSTOLIC, dice.gauss(118 + 0.45 * (age - 50), 16))
    diabetes = dice.random() < 0.04 + 0.004 * (age - 30)
    smoking = dice.random() < 0.15
    egfr = _cut(f.EGFR, dice.gauss(105 - 0.75 * (age - 40), 15))
    antihypertensive = dice.random() < probability((systolic - 140) / 15 + (age - 60) / 15 - 0.3)
    statin = dice.random() < probability((age - 62) / 8 + (total - 210) / 60 + diabetes - 0.7)
    bmi = min(50.0, max(18.5, round(dice.gauss(28.5, 5.5), 1)))
    person = Person("male" if male else "female", age, total, hdl, systolic, egfr, diabetes, smoking, antihypertensive, statin)
    label = float(dice.random() < probability(log_odds(person)))
    lipids, kidney, asked, weighed = (dice.random() >= share for share in (0.05, 0.08, 0.05, 0.10))
    values = {
        f.AGE: age,
        f.MALE: float(male),
        f.TOTAL: total if lipids else math.nan,
        f.HDL: hdl if lipids else math.nan,
        f.SYSTOLIC: systolic,
        f.EGFR: egfr if kidney else math.nan,
        f.BMI: bmi if weighed else math.nan,
        f.DIABETES: float(diabetes),
        f.SMOKING: float(smoking) if asked else math.nan,
        f.ANTIHYPERTENSIVE: float(antihypertensive),
        f.STATIN: float(statin),
    }
    return [values[name] for name in FEATURES], label


def _cut(name: str, value: float) -> float:
    low, high = RANGES[name]
    return float(min(high, max(low, round(value))))
