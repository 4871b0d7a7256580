"""Records of an Apple Health export: types, units, times and sources become readings.

Spec: https://developer.apple.com/documentation/healthkit/data_types
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ingest.vendors import times
from ingest.vendors.measure import NO_NUMBER, Context, number, scale, trimmed
from ingest.vendors.metric import DIASTOLIC, METRICS, SYSTOLIC, TOTAL, over
from ingest.vendors.reading import SELF_REPORTED, Item, Problem, Reading, Source, Unknown
from ingest.vendors.times import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_QUANTITY: Final = "HKQuantityTypeIdentifier"
_SLEEP: Final = "HKCategoryTypeIdentifierSleepAnalysis"
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{_QUANTITY}{name}": metric
        for name, metric in {
            "HeartRate": "heart-rate",
            "RestingHeartRate": "resting-heart-rate",
            "HeartRateVariabilitySDNN": "heart-rate-variability-sdnn",
            "OxygenSaturation": "oxygen-saturation",
            "RespiratoryRate": "respiratory-rate",
            "BloodPressureSystolic": SYSTOLIC,
            "BloodPressureDiastolic": DIASTOLIC,
            "BodyMass": "body-weight",
            "Height": "body-height",
            "BodyMassIndex": "body-mass-index",
            "BodyFatPercentage": "body-fat",
            "BodyTemperature": "body-temperature",
            "BloodGlucose": "glucose",
            "VO2Max": "vo2-max",
            "ForcedExpiratoryVolume1": "forced-expiratory-volume-1-second",
            "PeakExpiratoryFlowRate": "peak-expiratory-flow",
            "StepCount": "steps",
            "DistanceWalkingRunning": "distance",
            "FlightsClimbed": "flights-climbed",
            "ActiveEnergyBurned": "active-energy",
        }.items()
    }
)
STAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"HKCategoryValueSleepAnalysis{name}": metric
        for name, metric in {
            "InBed": "in-bed-duration",
            "Asleep": "sleep-duration",
            "AsleepUnspecified": "sleep-duration",
            "AsleepCore": "light-sleep-duration",
            "AsleepDeep": "deep-sleep-duration",
            "AsleepREM": "rem-sleep-duration",
            "Awake": "awake-duration",
        }.items()
    }
)
_CODES: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {("%", "oxygen-saturation"): "1", ("%", "body-fat"): "1", ("count", "steps"): "{steps}", ("count", "flights-climbed"): "{flights}", ("count", "body-mass-index"): "kg/m2"}
)
"""What Apple's words mean: a percentage is written as a fraction, a count is of what is counted."""
_MONITORS: Final = re.compile(r"dexcom|libre|guardian|eversense|medtronic|stelo|xdrip|nightscout", re.IGNORECASE)
"""HealthKit does not say where glucose was measured; apps of continuous monitors are known by their names."""
_PART: Final = re.compile(r"(?:^|, )(manufacturer|model|hardware|name):(.*?)(?=, (?:name|manufacturer|model|hardware|firmware|software|localIdentifier|UDIDeviceIdentifier|creation date):|>$|$)")
_LONGEST: Final = 200
_LONGEST_DEVICE: Final = 2_000
_CACHED_HOURS: Final = 10_000
_LENGTH: Final = len("2026-03-08 01:58:28 -0500")
_IN_HOUR: Final[Mapping[str, int]] = MappingProxyType({f":{second // 60:02}:{second % 60:02}": second * 1_000_000 for second in range(3600)})
"""Microseconds past the hour, by `:MM:SS`."""


class Records:
    """Turns Records into readings; holds one back until it is known what its metadata say."""

    def __init__(self, context: Context, line: Callable[[], int]) -> None:
        """Take the context of the payload, and where the parser is."""
        self._context = context
        self._line = line
        self._number = 0
        self._waiting: tuple[dict[str, str], int, int] | None = None
        self._typed_in = False
        self._hours: dict[str, Moment | str] = {}

    def start(self, attributes: dict[str, str]) -> Iterable[Item]:
        """Begin a Record; give what came of the one before."""
        before = self.flush()
        self._number += 1
        self._waiting = (attributes, self._number, self._line())
        return before

    def told(self, attributes: dict[str, str]) -> None:
        """Take a MetadataEntry of the Record that is open."""
        if attributes.get("key") == "HKWasUserEntered" and attributes.get("value") == "1":
            self._typed_in = True

    def flush(self) -> Iterable[Item]:
        """Finish the Record that is open."""
        if self._waiting is None:
            return ()
        attributes, record, line = self._waiting
        typed_in, self._waiting, self._typed_in = self._typed_in, None, False
        return (self._item(attributes, SELF_REPORTED if typed_in else 0, record, line),)

    def _item(self, attributes: dict[str, str], flags: int, record: int, line: int) -> Item:
        # What goes into a cache is short, whatever an export says; no number or unit is that long.
        type_, value, unit = attributes.get("type", ""), attributes.get("value", "")[:_LONGEST], attributes.get("unit", "")[:_LONGEST]
        name = STAGES.get(value) if type_ == _SLEEP else TYPES.get(type_)
        if name is None:
            return Unknown((value if type_ == _SLEEP else type_)[:_LONGEST] or "Record without a type")
        started, ended = attributes.get("startDate", ""), attributes.get("endDate", "")
        start = self._moment(started)
        end = start if ended == started else self._moment(ended)
        if not isinstance(start, Moment):
            return _problem(record, "startDate", line, start)
        if not isinstance(end, Moment):
            return _problem(record, "endDate", line, end)
        measured = _minutes(start, end) if type_ == _SLEEP else _measured(name, value, unit)
        if not isinstance(measured, Decimal):
            return _problem(record, measured, line, NO_NUMBER if measured == "value" else "This unit is not one of this measure.")
        created = self._moment(attributes.get("creationDate", ""))
        updated = created.us if isinstance(created, Moment) else self._context.received
        source = _source(attributes.get("sourceName", "").strip()[:_LONGEST], attributes.get("device", "")[:_LONGEST_DEVICE])
        name = _named(name, source, start.us, end.us)
        flags |= self._context.flags(name, measured, start.us, end.us)
        return Reading(name, source, start.us, end.us, start.offset, measured, flags, "", updated)

    def _moment(self, text: str) -> Moment | str:
        """Read `2026-03-08 01:58:28 -0500`; the hours of an export come again and again."""
        past = _IN_HOUR.get(text[13:19])
        if past is None or len(text) != _LENGTH:
            return times.moment(text, self._context.zone)
        hour = text[:13] + text[19:]
        base = self._hours.get(hour)
        if base is None:
            if len(self._hours) > _CACHED_HOURS:
                self._hours.clear()
            base = self._hours[hour] = times.moment(f"{text[:13]}:00:00{text[19:]}", None)
        return times.moment(text, self._context.zone) if isinstance(base, str) else Moment(base.us + past, base.offset)


def _problem(record: int, attribute: str, line: int, text: str) -> Problem:
    return Problem(f"Record[{record}]/@{attribute}", f"Line {line}: {text}", "required" if text == times.NO_ZONE else "value")


def _minutes(start: Moment, end: Moment) -> Decimal:
    """A stage of sleep is as long as its interval."""
    return trimmed(Decimal(end.us - start.us) / 60_000_000, 2)


@lru_cache(maxsize=16_384)
def _measured(name: str, value: str, unit: str) -> Decimal | str:
    """The value in the metric's unit; else the attribute that is wrong."""
    convert = scale(name, unit, _CODES.get((unit, name)))
    if convert is None:
        return "unit"
    amount = number(value)
    return "value" if amount is None else convert(amount)


def _named(name: str, source: Source, start: int, end: int) -> str:
    if name == "glucose" and (_MONITORS.search(source.name) or _MONITORS.search(source.manufacturer)):
        return "glucose-interstitial"
    return over(name, start, end) if METRICS[name].mode == TOTAL else name


@lru_cache(maxsize=4096)
def _source(name: str, device: str) -> Source:
    """The source: its name and, where HealthKit describes it, the hardware; neither software versions nor addresses in memory."""
    parts = {key: said.strip() for key, said in _PART.findall(device.strip().removeprefix("<").removesuffix(">").partition(">, ")[2])}
    hardware = parts.get("hardware", "")
    return Source(
        "apple-health", name, hardware[:_LONGEST], parts.get("manufacturer", "")[:_LONGEST], parts.get("model", "")[:_LONGEST]
    )
