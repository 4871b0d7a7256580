"""The metric table: code, unit, range of what is possible in a living person, and how readings are kept.

Codes are those that FHIR R4, US Core or the project's research page show; a metric without one has a code of ours
(`{BASE}/CodeSystem/telemetry`), and so has every statistic: the maximum of a week is no measurement.
Spec: https://hl7.org/fhir/R4/observation-vitalsigns.html
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LOINC: Final = "http://loinc.org"
SPOT: Final = "spot"
"""Each reading is an Observation."""
SERIES: Final = "series"
"""The readings of an hour are one Observation with SampledData."""
TOTAL: Final = "total"
"""What an hour's intervals add up to is one Observation."""
DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
STATISTICS: Final = frozenset(
    {"average", "maximum", "minimum", "median", "20th percentile", "80th percentile", "lower quartile", "upper quartile",
     "1st quintile", "2nd quintile", "3rd quintile", "4th quintile"}
)  # fmt: skip
"""Statistics in the unit of what was measured."""


class Metric(NamedTuple):
    """One row of the table.

    Attributes:
        name: Our name, and its code where LOINC codes are missing.
        mode: SPOT, SERIES or TOTAL.
        codes: LOINC codes; empty where ours stands.
        text: For people.
        unit: UCUM code.
        low: Smallest possible value, in `unit`.
        high: Largest possible value.
        places: Digits after the point of a value that was converted; one that was not keeps its digits.
        category: vital-signs, activity or laboratory.
        panel: Panel that the Observation of this metric is a component of.
        limits: Lowest and highest value that sensors of this metric tell.
    """

    name: str
    mode: str
    codes: tuple[tuple[str, str], ...]
    text: str
    unit: str
    low: Decimal
    high: Decimal
    places: int
    category: str = "vital-signs"
    panel: str = ""
    limits: tuple[Decimal, Decimal] | None = None

    def possible(self, value: Decimal) -> bool:
        """Whether a living person can have this value."""
        return self.low <= value <= self.high


def _row(name: str, mode: str, code: str, text: str, unit: str, low: str, high: str, places: int, **more: str) -> Metric:
    codes = tuple(tuple(part.split("=", 1)) if "=" in part else (part, "") for part in code.split("|") if part)
    return Metric(name, mode, codes, text, unit, Decimal(low), Decimal(high), places, **more)  # type: ignore[arg-type]


BLOOD_PRESSURE: Final = _row("blood-pressure", SPOT, "85354-9=Blood pressure panel with all children optional", "Blood pressure", "mm[Hg]", "0", "0", 0)
SYSTOLIC: Final = "systolic-blood-pressure"
DIASTOLIC: Final = "diastolic-blood-pressure"
_ROWS: Final = (
    _row("heart-rate", SERIES, "8867-4=Heart rate", "Heart rate", "/min", "20", "300", 1),
    _row("oxygen-saturation", SERIES, "2708-6=Oxygen saturation in Arterial blood|59408-5=Oxygen saturation in Arterial blood by Pulse oximetry",
         "Oxygen saturation", "%", "40", "100", 2),
    _row("respiratory-rate", SERIES, "9279-1=Respiratory rate", "Respiratory rate", "/min", "2", "100", 1),
    _row("glucose-interstitial", SERIES, "", "Glucose in interstitial fluid", "mg/dL", "20", "600", 2)._replace(category="laboratory", limits=(Decimal(40), Decimal(400))),
    _row("resting-heart-rate", SPOT, "40443-4", "Resting heart rate", "/min", "20", "250", 1),
    _row("heart-rate-variability-sdnn", SPOT, "80404-7", "Heart rate variability (SDNN)", "ms", "0.1", "1000", 2),
    _row(SYSTOLIC, SPOT, "8480-6=Systolic blood pressure", "Systolic blood pressure", "mm[Hg]", "30", "350", 1, panel="blood-pressure"),
    _row(DIASTOLIC, SPOT, "8462-4=Diastolic blood pressure", "Diastolic blood pressure", "mm[Hg]", "10", "250", 1, panel="blood-pressure"),
    _row("body-weight", SPOT, "29463-7=Body weight", "Body weight", "kg", "0.2", "700", 3),
    _row("body-height", SPOT, "8302-2=Body height", "Body height", "cm", "15", "280", 2),
    _row("body-mass-index", SPOT, "39156-5=Body mass index (BMI) [Ratio]", "Body mass index", "kg/m2", "4", "250", 2),
    _row("body-fat", SPOT, "41982-0", "Body fat", "%", "1", "85", 2),
    _row("body-temperature", SPOT, "8310-5=Body temperature", "Body temperature", "Cel", "20", "46", 2),
    _row("glucose", SPOT, "2339-0=Glucose [Mass/volume] in Blood", "Glucose", "mg/dL", "5", "3000", 2, category="laboratory"),
    _row("glucose-plasma", SPOT, "", "Glucose in serum or plasma", "mg/dL", "5", "3000", 2, category="laboratory"),
    _row("vo2-max", SPOT, "60842-2", "Maximal oxygen uptake", "mL/kg/min", "2", "110", 2, category="activity"),
    _row("forced-expiratory-volume-1-second", SPOT, "20150-9", "Forced expiratory volume in the first second", "L", "0.05", "10", 3),
    _row("peak-expiratory-flow", SPOT, "33452-4", "Peak expiratory flow", "L/min", "5", "1200", 1),
    _row("sleep-duration", SPOT, "93832-4", "Sleep duration", "min", "0", "2880", 2, category="activity"),
    _row("deep-sleep-duration", SPOT, "93831-6", "Deep sleep duration", "min", "0", "2880", 2, category="activity"),
    _row("light-sleep-duration", SPOT, "93830-8", "Light sleep duration", "min", "0", "2880", 2, category="activity"),
    _row("rem-sleep-duration", SPOT, "93829-0", "REM sleep duration", "min", "0", "2880", 2, category="activity"),
    _row("awake-duration", SPOT, "103210-1", "Time awake in bed", "min", "0", "2880", 2, category="activity"),
    _row("in-bed-duration", SPOT, "103213-5", "Time in bed", "min", "0", "2880", 2, category="activity"),
    _row("steps", TOTAL, "", "Steps", "{steps}", "0", "30000", 0, category="activity"),
    _row("distance", TOTAL, "", "Distance on foot", "m", "0", "60000", 3, category="activity"),
    _row("flights-climbed", TOTAL, "", "Flights of stairs climbed", "{flights}", "0", "1000", 0, category="activity"),
    _row("energy", TOTAL, "", "Energy spent", "kcal", "0", "5000", 3, category="activity"),
    _row("active-energy", TOTAL, "", "Energy spent in activity", "kcal", "0", "5000", 3, category="activity"),
    # The LOINC codes of activity mean 24 hours: they stand on intervals of a day alone.
    _row("steps-24h", SPOT, "41950-7", "Steps in 24 hours", "{steps}", "0", "200000", 0, category="activity"),
    _row("distance-24h", SPOT, "41953-1", "Distance on foot in 24 hours", "m", "0", "500000", 3, category="activity"),
    _row("flights-climbed-24h", SPOT, "93833-2", "Flights of stairs climbed in 24 hours", "{flights}", "0", "5000", 0, category="activity"),
    _row("energy-24h", SPOT, "41979-6", "Energy spent in 24 hours", "kcal", "0", "30000", 3, category="activity"),
    _row("active-energy-24h", SPOT, "93819-1", "Energy spent in activity in 24 hours", "kcal", "0", "30000", 3, category="activity"),
)  # fmt: skip
METRICS: Final[Mapping[str, Metric]] = MappingProxyType({row.name: row for row in _ROWS})


@lru_cache(maxsize=1024)
def metric(name: str) -> Metric:
    """The row of a metric, of a statistic of one (`heart-rate.maximum`), or of a long total (`steps.interval`).

    Raises:
        KeyError: There is no such metric.
    """
    base, dot, statistic = name.partition(".")
    row = METRICS[base]
    if not dot:
        return row
    if statistic == "interval":
        return row._replace(name=name, mode=SPOT, high=row.high * 1000, text=f"{row.text} in an interval")
    if statistic not in STATISTICS:
        raise KeyError(name)
    top = row.high * 10 if row.mode == TOTAL else row.high
    return row._replace(name=name.replace(" ", "-"), mode=SPOT, codes=(), panel="", high=top, text=f"{row.text}, {statistic}")


def over(name: str, start: int, end: int) -> str:
    """Name of a total over an interval: hour blocks hold what is no longer than an hour; a day has a code of its own."""
    row = METRICS.get(name)
    if row is None or row.mode != TOTAL or end - start <= HOUR_US:
        return name
    return f"{name}-24h" if abs(end - start - DAY_US) <= HOUR_US else f"{name}.interval"
