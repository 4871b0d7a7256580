"""What is kept becomes FHIR: a SampledData or total Observation for an hour block, an Observation for a single measure, a Device for a source.

Spec: https://hl7.org/fhir/R4/observation.html, https://hl7.org/fhir/R4/observation-vitalsigns.html
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from ingest.mapping.systems import BASE, THO
from ingest.telemetry.grid import grid
from ingest.vendors.measure import trimmed
from ingest.vendors.metric import BLOOD_PRESSURE, DIASTOLIC, HOUR_US, LOINC, SYSTOLIC, Metric, metric
from ingest.vendors.reading import ABOVE, BELOW, IMPLAUSIBLE, IMPLAUSIBLE_TIME, SELF_REPORTED, Reading, Source
from ingest.vendors.times import iso
from terminology.ucum import SYSTEM as UCUM

if TYPE_CHECKING:
    from collections.abc import Sequence

Resource = dict[str, Any]
OURS: Final = f"{BASE}/CodeSystem/telemetry"
BLOCK: Final = f"{BASE}/telemetry-block"
SPOT: Final = f"{BASE}/telemetry-reading"
SOURCE: Final = f"{BASE}/telemetry-source"
IMPLAUSIBLE_URL: Final = f"{BASE}/StructureDefinition/implausible"
COUNT_URL: Final = f"{BASE}/StructureDefinition/implausible-count"
SAMPLE_URL: Final = f"{BASE}/StructureDefinition/implausible-sample"
_LISTED: Final = 20
_MS: Final = 1000


def block_to_observation(identifier: str, subject: str, device: str, readings: Sequence[Reading], *, again: bool) -> Resource:
    """Compose the Observation of an hour's samples.

    Args:
        identifier: Value of its identifier in BLOCK.
        subject: Patient/1.
        device: Device/1.
        readings: At least one, by time, of one metric, source and hour.
        again: Whether it was published before: it is amended.
    """
    row = metric(readings[0].metric)
    flagged = [reading for reading in readings if reading.flags & IMPLAUSIBLE]
    observation = _base(row, BLOCK, identifier, subject, device, "amended" if again else "final")
    hour = readings[0].start // HOUR_US
    observation["effectivePeriod"] = {
        "start": iso(hour * HOUR_US, readings[0].offset),
        "end": iso((hour + 1) * HOUR_US - _MS, readings[-1].offset),
    }
    notes: list[str] = []
    if row.mode == "total":
        notes += _total(observation, row, readings)
    else:
        notes += _sampled(observation, row, readings, hour)
    if flagged:
        observation["extension"] = _flags(row, flagged, len(readings))
        notes.append(f"{len(flagged)} of {len(readings)} samples are implausible: they are kept and flagged.")
    return _noted(observation, notes)


def spot_to_observation(identifier: str, subject: str, device: str, readings: Sequence[Reading], *, again: bool) -> Resource:
    """Compose the Observation of a single measure; of a panel from its components, a missing one with its absence.

    Args:
        identifier: Value of its identifier in SPOT.
        subject: Patient/1.
        device: Device/1.
        readings: One for each component; at least one.
        again: Whether it was published before: it is corrected.
    """
    row, latest = metric(readings[0].metric), max(readings, key=lambda reading: (reading.updated, reading.start))
    shown = BLOOD_PRESSURE if row.panel else row
    observation = _base(shown, SPOT, identifier, subject, device, "corrected" if again else "final")
    observation |= _effective(latest)
    if row.panel:
        present = {reading.metric: reading for reading in readings}
        observation["component"] = [_component(name, present.get(name)) for name in (SYSTOLIC, DIASTOLIC)]
    else:
        observation["valueQuantity"] = _quantity(row, latest.value, latest.flags)
    if any(reading.flags & SELF_REPORTED for reading in readings):
        observation["method"] = {"coding": [{"system": OURS, "code": "self-reported"}], "text": "Typed in by a person"}
    flags = 0
    for reading in readings:
        flags |= reading.flags
    if not flags & IMPLAUSIBLE:
        return observation
    observation["extension"] = [{"url": IMPLAUSIBLE_URL, "valueBoolean": True}]
    what = "time" if flags & IMPLAUSIBLE_TIME else "value"
    return _noted(observation, [f"The {what} is implausible: it is kept as it came and flagged."])


def withdrawn(observation: Resource) -> Resource:
    """Say that nothing of an Observation holds any more: every reading of it was corrected to another time."""
    kept = {name: said for name, said in observation.items() if not name.startswith(("value", "component", "extension", "note"))}
    return {**kept, "status": "entered-in-error"}


def source_to_device(identifier: str, subject: str, source: Source) -> Resource:
    """Compose the Device of a source."""
    said = {
        "manufacturer": _printable(source.manufacturer),
        "modelNumber": _printable(source.model),
        "distinctIdentifier": _printable(source.device),
    }
    name = _printable(source.name) or source.vendor
    return {
        "resourceType": "Device",
        "identifier": [{"system": SOURCE, "value": identifier}],
        "status": "active",
        **{key: value for key, value in said.items() if value},
        "deviceName": [{"name": name, "type": "user-friendly-name"}],
        "patient": {"reference": subject},
    }


def _base(row: Metric, system: str, identifier: str, subject: str, device: str, status: str) -> Resource:
    return {
        "resourceType": "Observation",
        "identifier": [{"system": system, "value": identifier}],
        "status": status,
        "category": [{"coding": [{"system": f"{THO}/observation-category", "code": row.category}]}],
        "code": _code(row),
        "subject": {"reference": subject},
        "device": {"reference": device},
    }


def _code(row: Metric) -> Resource:
    coding = [{"system": LOINC, "code": code, **({"display": display} if display else {})} for code, display in row.codes]
    return {"coding": coding or [{"system": OURS, "code": row.name.replace(" ", "-"), "display": row.text}], "text": row.text}


def _quantity(row: Metric, value: Decimal, flags: int = 0) -> Resource:
    comparator = {"comparator": "<" if flags & BELOW else ">"} if flags & (BELOW | ABOVE) else {}
    return {"value": value, **comparator, "unit": row.unit, "system": UCUM, "code": row.unit}


def _component(name: str, reading: Reading | None) -> Resource:
    row = metric(name)
    if reading is None:
        absent = {"coding": [{"system": f"{THO}/data-absent-reason", "code": "unknown"}]}
        return {"code": _code(row), "dataAbsentReason": absent}
    return {"code": _code(row), "valueQuantity": _quantity(row, reading.value, reading.flags)}


def _effective(reading: Reading) -> Resource:
    start, end = iso(reading.start, reading.offset), iso(reading.end, reading.offset)
    return {"effectivePeriod": {"start": start, "end": end}} if reading.end > reading.start else {"effectiveDateTime": start}


def _sampled(observation: Resource, row: Metric, readings: Sequence[Reading], hour: int) -> list[str]:
    laid = grid(readings, hour)
    limits = {"lowerLimit": row.limits[0], "upperLimit": row.limits[1]} if row.limits else {}
    observation["valueSampledData"] = {
        "origin": _quantity(row, Decimal(0)),
        "period": laid.period_s * 1000,
        **limits,
        "dimensions": 1,
        "data": laid.data,
    }
    return [f"{laid.hidden} samples share a second with another and are not shown."] if laid.hidden else []


def _total(observation: Resource, row: Metric, readings: Sequence[Reading]) -> list[str]:
    """Add the intervals up; one that overlaps another that is counted would count twice."""
    total, until, left = Decimal(0), -(2**62), 0
    good = [reading for reading in readings if not reading.flags & IMPLAUSIBLE]
    for reading in sorted(good, key=lambda each: (each.start, -each.end)):
        if reading.start < until:
            left += 1
            continue
        total, until = total + reading.value, max(until, reading.end)
    if good:
        first, last = min(good, key=lambda each: each.start), max(good, key=lambda each: each.end)
        observation["effectivePeriod"] = {"start": iso(first.start, first.offset), "end": iso(last.end, last.offset)}
        observation["valueQuantity"] = _quantity(row, trimmed(total, row.places))
    else:
        observation["dataAbsentReason"] = {"coding": [{"system": f"{THO}/data-absent-reason", "code": "error"}]}
    return [f"{left} intervals overlap others and are not added."] if left else []


def _flags(row: Metric, flagged: Sequence[Reading], count: int) -> list[Resource]:
    """The whole Observation is implausible only where nothing in it is plausible; each flagged sample stays readable."""
    said: list[Resource] = [{"url": IMPLAUSIBLE_URL, "valueBoolean": True}] if len(flagged) == count else []
    said.append({"url": COUNT_URL, "valueInteger": len(flagged)})
    for reading in flagged[:_LISTED]:
        parts = [
            {"url": "time", "valueDateTime": iso(reading.start, reading.offset)},
            {"url": "value", "valueQuantity": _quantity(row, reading.value)},
        ]
        said.append({"url": SAMPLE_URL, "extension": parts})
    return said


def _noted(observation: Resource, notes: Sequence[str]) -> Resource:
    if notes:
        observation["note"] = [{"text": " ".join(notes)}]
    return observation


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()
