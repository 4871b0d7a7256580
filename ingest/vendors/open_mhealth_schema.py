"""The measure schemas of Open mHealth and IEEE 1752.1 that are read: their members, units and word lists.

Spec: https://www.openmhealth.org/documentation/#/schema-docs/schema-library
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.vendors.metric import DIASTOLIC, STATISTICS, SYSTOLIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.vendors.reading import Source
    from ingest.vendors.times import Moment


_VERSION_DIGITS: Final = 9


class Header(NamedTuple):
    """What a header says, in either standard's words.

    Attributes:
        schema: Name of the body's schema.
        namespace: omh or ieee.
        version: Version of the schema.
        id: Id of the data point or series.
        created: When it was created, microseconds: a newer one of the same id replaces an older one.
        measured: When the source created it, for old schemas whose body needs no time.
        source: App and device.
        flags: Flags that hold for every reading.
    """

    schema: str
    namespace: str
    version: str
    id: str
    created: int
    measured: Moment | None
    source: Source
    flags: int

    @property
    def major(self) -> int:
        """Major version of the schema; 1 where it is no number."""
        first = self.version.partition(".")[0]
        return int(first) if first.isascii() and first.isdigit() and len(first) <= _VERSION_DIGITS else 1


class Measure(NamedTuple):
    """One member of a body that is a measure."""

    member: str
    metric: str
    units: Mapping[str, str]
    required: bool = True


class Schema(NamedTuple):
    """One schema of a body.

    Attributes:
        measures: Its members that are measures.
        timed_from: First major version that requires a time frame.
        exact_from: First major version whose time frame is IEEE 1752.1's, which knows no date with a part of the day.
        interval: Whether the time frame must be an interval.
        inside: Member that holds the measures, if they are not the body's own.
        needs: Member that the body must have beside its measures.
    """

    measures: tuple[Measure, ...]
    timed_from: int
    exact_from: int = 99
    interval: bool = False
    inside: str = ""
    needs: str = ""


PER_MINUTE: Final = "/min"
MASS: Final = MappingProxyType({"fg": "fg", "pg": "pg", "ng": "ng", "ug": "ug", "mg": "mg", "g": "g", "kg": "kg", "Metric Ton": "t", "gr": "[gr]", "oz": "[oz_av]", "lb": "[lb_av]", "Ton": "[ston_av]"})
LENGTH: Final = MappingProxyType({"nm": "nm", "um": "um", "mm": "mm", "cm": "cm", "m": "m", "km": "km", "in": "[in_i]", "ft": "[ft_i]", "yd": "[yd_i]", "mi": "[mi_i]"})
TEMPERATURE: Final = MappingProxyType({"K": "K", "C": "Cel", "F": "[degF]"})
DURATION: Final = MappingProxyType({"ps": "ps", "ns": "ns", "us": "us", "ms": "ms", "sec": "s", "min": "min", "h": "h", "d": "d", "wk": "wk"})
"""Months and years are no exact length and are refused."""
GLUCOSE: Final = MappingProxyType({"mg/dL": "mg/dL", "mmol/L": "mmol/L"})


def _one(member: str, metric: str, units: Mapping[str, str], timed_from: int, exact_from: int = 99, *, interval: bool = False) -> Schema:
    return Schema((Measure(member, metric, units),), timed_from, exact_from, interval)


_STAGES: Final = (
    Measure("total_sleep_time", "sleep-duration", DURATION, required=False),
    Measure("light_sleep_duration", "light-sleep-duration", DURATION, required=False),
    Measure("deep_sleep_duration", "deep-sleep-duration", DURATION, required=False),
    Measure("rem_sleep_duration", "rem-sleep-duration", DURATION, required=False),
    Measure("awake_duration", "awake-duration", DURATION, required=False),
)
SCHEMAS: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        "heart-rate": _one("heart_rate", "heart-rate", {"beats/min": PER_MINUTE}, 2),
        "respiratory-rate": _one("respiratory_rate", "respiratory-rate", {"breaths/min": PER_MINUTE}, 2),
        "oxygen-saturation": _one("oxygen_saturation", "oxygen-saturation", {"%": "%"}, 2),
        "blood-glucose": _one("blood_glucose", "glucose", GLUCOSE, 3, 4),
        "blood-pressure": Schema(
            (Measure("systolic_blood_pressure", SYSTOLIC, {"mmHg": "mm[Hg]"}), Measure("diastolic_blood_pressure", DIASTOLIC, {"mmHg": "mm[Hg]"})), 3, 4
        ),
        "body-weight": _one("body_weight", "body-weight", MASS, 2, 3),
        "body-height": _one("body_height", "body-height", LENGTH, 2, 2),
        "body-temperature": _one("body_temperature", "body-temperature", TEMPERATURE, 3, 4),
        "body-mass-index": _one("body_mass_index", "body-mass-index", {"kg/m2": "kg/m2", "kg/m^2": "kg/m2"}, 2, 3),
        "body-fat-percentage": _one("body_fat_percentage", "body-fat", {"%": "%"}, 2, 2),
        "step-count": _one("step_count", "steps", {"steps": "{steps}"}, 2, interval=True),
        "calories-burned": _one("kcal_burned", "energy", {"kcal": "kcal"}, 2, interval=True),
        "sleep-duration": _one("sleep_duration", "sleep-duration", {"h": "h", "min": "min"}, 2, interval=True),
        "total-sleep-time": _one("total_sleep_time", "sleep-duration", DURATION, 1, interval=True),
        "time-in-bed": _one("time_in_bed", "in-bed-duration", DURATION, 1, interval=True),
        "sleep-episode": Schema(_STAGES[:4], 1, interval=True),
        "sleep-stage-summary": Schema((_STAGES[0]._replace(required=True), *_STAGES[1:]), 1, interval=True, inside="sleep_stage_summary"),
        "physical-activity": Schema(
            (Measure("distance", "distance", LENGTH, required=False), Measure("kcal_burned", "active-energy", {"kcal": "kcal"}, required=False)),
            2, interval=True, needs="activity_name",
        ),
        "forced-expiratory-volume-1-second": _one("forced_expiratory_volume_1_second", "forced-expiratory-volume-1-second", {"L": "L"}, 1, 1),
    }
)  # fmt: skip

_OTHER_STATISTICS: Final = frozenset({"count", "standard deviation", "sum", "variance", "quartile deviation"})
WORDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "descriptive_statistic": STATISTICS | _OTHER_STATISTICS,
        "specimen_source": frozenset(
            {"breath", "capillary blood", "interstitial fluid", "lacrimal fluid", "plasma", "saliva", "serum", "sweat", "tears", "urine", "whole blood"}
        ),
        "blood_specimen_type": frozenset({"whole blood", "plasma", "serum"}),
        "temporal_relationship_to_meal": frozenset(
            {"fasting", "not fasting", "before meal", "after meal", "before breakfast", "after breakfast", "before lunch", "after lunch",
             "before dinner", "after dinner", "2 hours postprandial", "with meal", "with food"}
        ),
        "temporal_relationship_to_sleep": frozenset({"before sleeping", "during sleep", "on waking"}),
        "temporal_relationship_to_physical_activity": frozenset({"at rest", "active", "before exercise", "after exercise", "during exercise"}),
        "system": frozenset({"peripheral capillary"}),
        "measurement_method": frozenset({"pulse oximetry"}),
        "measurement_quality": frozenset({"acceptable", "usable", "rejected"}),
    }
)  # fmt: skip
"""Members whose words are a closed list; another word makes the document invalid."""

TOLD: Final = (
    "specimen_source", "blood_specimen_type", "temporal_relationship_to_meal", "temporal_relationship_to_sleep",
    "temporal_relationship_to_physical_activity", "body_posture", "measurement_location", "measurement_quality", "activity_name",
    "descriptive_statistic_denominator",
)  # fmt: skip
"""Members that are kept beside the value."""

SPECIMENS: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "": "glucose", "capillary blood": "glucose", "whole blood": "glucose", "interstitial fluid": "glucose-interstitial",
        "plasma": "glucose-plasma", "serum": "glucose-plasma",
    }
)  # fmt: skip
"""Metric of glucose by what it was measured in; in other fluids it is no metric here."""
