"""What patients' own devices send: a watch's export, a glucose sensor, a blood pressure cuff and a scale; seeded.

Spec: https://opensource.ieee.org/omh/1752 (data points), https://developer.dexcom.com (EGVs, v3), Apple's Health export.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import quoteattr

ZONE = timezone(timedelta(hours=-6))
GLUCOSE_STEP_MIN = 5
PULSE_STEP_S = 30
HOURS = 2


@dataclass(frozen=True, slots=True)
class Payload:
    """One upload of one vendor: its path segment, its media type, its bytes."""

    vendor: str
    media_type: str
    body: bytes


def payloads(patient_id: str, day: date, seed: int) -> list[Payload]:
    """What the three vendors of one patient upload for the night before a day; the same patient always gives the same bytes."""
    dice = random.Random(f"{seed}/telemetry/{patient_id}")
    start = datetime(day.year, day.month, day.day, 1, tzinfo=ZONE)
    return [
        Payload("open-mhealth", "application/json", _at_home(patient_id, start + timedelta(hours=6), dice)),
        Payload("dexcom", "application/json", _glucose(patient_id, start, dice)),
        Payload("apple-health", "application/xml", _watch(start, dice)),
    ]


def _at_home(patient_id: str, when: datetime, dice: random.Random) -> bytes:
    """A cuff and a scale in the morning, as Open mHealth data points."""
    systolic, diastolic = dice.randint(118, 158), dice.randint(68, 96)
    points = [
        _point(
            patient_id,
            "blood-pressure:4.0",
            when,
            systolic_blood_pressure={"value": systolic, "unit": "mmHg"},
            diastolic_blood_pressure={"value": diastolic, "unit": "mmHg"},
        ),
        _point(patient_id, "body-weight:3.0", when + timedelta(minutes=2), body_weight={"value": round(dice.uniform(58, 104), 1), "unit": "kg"}),
    ]
    return json.dumps(points).encode()


def _point(patient_id: str, schema: str, when: datetime, **body: Any) -> dict[str, Any]:
    name, version = schema.split(":")
    return {
        "header": {
            "uuid": str(uuid5(NAMESPACE_URL, f"{patient_id}/{schema}/{when.isoformat()}")),
            "schema_id": {"namespace": "omh", "name": name, "version": version},
            "source_creation_date_time": when.isoformat(),
            "modality": "sensed",
        },
        "body": {**body, "effective_time_frame": {"date_time": when.isoformat()}},
    }


def _glucose(patient_id: str, start: datetime, dice: random.Random) -> bytes:
    """A reading every five minutes."""
    value, records = dice.randint(90, 150), []
    for number in range(HOURS * 60 // GLUCOSE_STEP_MIN):
        when = start + timedelta(minutes=GLUCOSE_STEP_MIN * number)
        value = min(260, max(62, value + dice.randint(-6, 6)))
        records.append({
            "recordId": f"{patient_id}-{when:%Y%m%d%H%M}",
            "systemTime": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "displayTime": when.isoformat(),
            "transmitterId": f"T-{patient_id}",
            "transmitterTicks": 300 * number,
            "value": value,
            "status": "ok",
            "trend": "flat",
            "trendRate": 0.0,
            "unit": "mg/dL",
            "rateUnit": "mg/dL/min",
            "displayDevice": "iOS",
            "transmitterGeneration": "g7",
        })
    return json.dumps({"recordType": "egv", "recordVersion": "3.0", "userId": patient_id, "records": records}).encode()


def _watch(start: datetime, dice: random.Random) -> bytes:
    """A pulse every half minute, as the watch's owner exports it."""
    pulse, lines = dice.randint(52, 68), []
    for number in range(HOURS * 3600 // PULSE_STEP_S):
        when = (start + timedelta(seconds=PULSE_STEP_S * number)).strftime("%Y-%m-%d %H:%M:%S %z")
        pulse = min(110, max(44, pulse + dice.randint(-2, 2)))
        facts = {"type": "HKQuantityTypeIdentifierHeartRate", "sourceName": "Watch", "sourceVersion": "11.2", "unit": "count/min"}
        times = {"creationDate": when, "startDate": when, "endDate": when, "value": str(pulse)}
        lines.append(f" <Record {' '.join(f'{name}={quoteattr(text)}' for name, text in {**facts, **times}.items())}/>")
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<HealthData locale="en_US">\n' + "\n".join(lines) + "\n</HealthData>\n").encode()
