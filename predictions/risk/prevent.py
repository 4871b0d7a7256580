"""The PREVENT equations for stroke: values of one person to log-odds, term by term; pure.

Every term but age is centred on the equation's reference person, so the log-odds of that person at some age are the constant and the
age terms alone, and a term times its coefficient is what it adds to them.
Spec: https://doi.org/10.1161/CIRCULATIONAHA.123.067626
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FACTS: Final = Path(__file__).with_name("prevent_facts.json")
MMOL_PER_MG: Final = 0.02586
"""mmol/L of cholesterol in 1 mg/dL, as the equations convert it."""


@dataclass(frozen=True, slots=True)
class Person:
    """The inputs of the equations.

    Attributes:
        sex: "female" or "male".
        age: Years, 30 to 79.
        total_cholesterol: mg/dL.
        hdl_cholesterol: mg/dL.
        systolic: mm[Hg].
        egfr: mL/min per 1.73 m2.
        hba1c: Percent; only models hba1c and full use it, None is missing.
        uacr: Urine albumin to creatinine, mg/g; only models uacr and full.
        sdi: Decile of the social deprivation index; only models sdi and full.
    """

    sex: str
    age: float
    total_cholesterol: float
    hdl_cholesterol: float
    systolic: float
    egfr: float
    diabetes: bool
    smoking: bool
    antihypertensive: bool
    statin: bool
    hba1c: float | None = None
    uacr: float | None = None
    sdi: int | None = None


def values(person: Person) -> dict[str, float]:
    """Return the centred value of every term but products."""
    hdl = person.hdl_cholesterol * MMOL_PER_MG
    non_hdl = (person.total_cholesterol - person.hdl_cholesterol) * MMOL_PER_MG
    age = (person.age - 55) / 10
    hba1c, uacr, sdi = person.hba1c, person.uacr, person.sdi
    return {
        "constant": 1.0,
        "age": age,
        "age_squared": age * age,
        "non_hdl": non_hdl - 3.5,
        "hdl": (hdl - 1.3) / 0.3,
        "sbp_low": (min(person.systolic, 110) - 110) / 20,
        "sbp_high": (max(person.systolic, 110) - 130) / 20,
        "diabetes": float(person.diabetes),
        "no_diabetes": float(not person.diabetes),
        "smoking": float(person.smoking),
        "egfr_low": (min(person.egfr, 60) - 60) / -15,
        "egfr_high": (max(person.egfr, 60) - 90) / -15,
        "antihypertensive": float(person.antihypertensive),
        "statin": float(person.statin),
        "hba1c": 0.0 if hba1c is None else hba1c - 5.3,
        "hba1c_missing": float(hba1c is None),
        "ln_uacr": 0.0 if uacr is None else math.log(uacr),
        "uacr_missing": float(uacr is None),
        "sdi_middle": float(sdi is not None and 4 <= sdi <= 6),
        "sdi_high": float(sdi is not None and sdi >= 7),
        "sdi_missing": float(sdi is None),
    }


def terms(person: Person, model: str = "base-10") -> dict[str, float]:
    """Return what each term adds to the log-odds: coefficient times value, products included."""
    centred = values(person)
    return {name: beta * math.prod(centred[part] for part in name.split("*")) for name, beta in coefficients()[model][person.sex].items()}


def log_odds(person: Person, model: str = "base-10") -> float:
    """Return the log-odds of a stroke within the model's years."""
    return math.fsum(terms(person, model).values())


def probability(log_odds: float) -> float:
    """Return the probability of log-odds."""
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


@cache
def coefficients() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Read the coefficients by model and years ("base-10"), sex and term."""
    models: dict[str, dict[str, dict[str, float]]] = json.loads(FACTS.read_text(encoding="utf-8"))["models"]
    return models
