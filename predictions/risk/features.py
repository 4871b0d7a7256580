"""The features of risk models: what they are called, their units, and one patient's values with where each came from."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple


class Definition(NamedTuple):
    """What a feature is.

    Attributes:
        label: For people.
        unit: UCUM; "" for a flag (1 yes, 0 no).
        rises: 1 if more of it may only raise a risk of stroke, -1 if only lower it, 0 if either.
    """

    label: str
    unit: str
    rises: int = 0


AGE: Final = "age"
MALE: Final = "male"
TOTAL: Final = "total-cholesterol"
HDL: Final = "hdl-cholesterol"
SYSTOLIC: Final = "systolic-blood-pressure"
EGFR: Final = "egfr"
BMI: Final = "body-mass-index"
DIABETES: Final = "diabetes"
SMOKING: Final = "smoking"
ANTIHYPERTENSIVE: Final = "antihypertensive"
STATIN: Final = "statin"
CARDIOVASCULAR: Final = "cardiovascular-disease"

SHOWN_UNITS: Final[Mapping[str, str]] = {"a": "years", "mm[Hg]": "mmHg", "kg/m2": "kg/m²", "mL/min/{1.73_m2}": "mL/min/1.73 m²"}
"""What people read in place of a UCUM code."""
FEATURES: Final[Mapping[str, Definition]] = {
    AGE: Definition("Age", "a", 1),
    MALE: Definition("Male sex", ""),
    TOTAL: Definition("Total cholesterol", "mg/dL"),
    HDL: Definition("HDL cholesterol", "mg/dL", -1),
    SYSTOLIC: Definition("Systolic blood pressure", "mm[Hg]", 1),
    EGFR: Definition("eGFR (CKD-EPI 2021)", "mL/min/{1.73_m2}", -1),
    BMI: Definition("Body mass index", "kg/m2"),
    DIABETES: Definition("Diabetes", "", 1),
    SMOKING: Definition("Current smoking", "", 1),
    ANTIHYPERTENSIVE: Definition("Antihypertensive medicine", ""),
    STATIN: Definition("Statin", ""),
}
"""What models may use, under the names that they share, in the order of a row."""

NO_FLAG: Final = "no, none recorded"
NOT_RECORDED: Final = "not recorded"


@dataclass(frozen=True, slots=True)
class Feature:
    """One value of one patient.

    Attributes:
        value: In the unit of its definition; 1 or 0 for a flag.
        date: When it was true, as FHIR writes it; "" where that is not known.
        basis: References of the resources it was read from, with their versions ("Observation/1/_history/2").
        said: What is shown instead of yes or no.
    """

    value: float
    date: str = ""
    basis: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of one patient at one moment.

    Attributes:
        patient: "Patient/1".
        sex: "female", "male" or "" where the record says neither.
        values: By name of FEATURES, and CARDIOVASCULAR; what is not recorded is absent.
        alive: False for who is dead or whose record was deleted.
    """

    patient: str
    sex: str
    values: Mapping[str, Feature] = field(default_factory=dict)
    alive: bool = True

    def only(self, names: Collection[str]) -> Features:
        """Return these features without others."""
        return replace(self, values={name: value for name, value in self.values.items() if name in names})

    def number(self, name: str) -> float:
        """Return a value, NaN where it is not recorded."""
        found = self.values.get(name)
        return math.nan if found is None else found.value

    def flag(self, name: str) -> bool:
        """Whether a flag is recorded as yes."""
        return self.number(name) == 1.0
