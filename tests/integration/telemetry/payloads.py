"""Literal payloads of three vendors."""

from __future__ import annotations


def dexcom(*records, unit="mg/dL"):
    """A page of values: (id, system time, display time, value, status)."""
    return {
        "recordType": "egv", "recordVersion": "3.0", "userId": "u1",
        "records": [
            {"recordId": id_, "systemTime": system, "displayTime": display, "transmitterId": "T1", "transmitterTicks": 1, "value": value, "status": status,
             "trend": "flat", "trendRate": 0.1, "unit": unit, "rateUnit": "mg/dL/min", "displayDevice": "iOS", "transmitterGeneration": "g7"}
            for id_, system, display, value, status in records
        ],
    }  # fmt: skip


HOUR = dexcom(
    ("r1", "2026-03-09T11:05:00Z", "2026-03-09T07:05:00-04:00", 99, "ok"),
    ("r2", "2026-03-09T11:10:00Z", "2026-03-09T07:10:00-04:00", 39, "low"),
    ("r3", "2026-03-09T11:15:00Z", "2026-03-09T07:15:00-04:00", 405, "high"),
)


def point(schema, version, body, *, id_="243c773b-8936-407e-9c23-270d0ea49cc4", created="2026-03-09T12:00:00Z", namespace="omh", modality="sensed"):
    """An Open mHealth data point."""
    return {
        "header": {
            "id": id_, "creation_date_time": created, "schema_id": {"namespace": namespace, "name": schema, "version": version},
            "acquisition_provenance": {"source_name": "Cuff app", "source_creation_date_time": created, "modality": modality},
        },
        "body": body,
    }  # fmt: skip


def at(time):
    return {"effective_time_frame": {"date_time": time}}


def pressure(systolic=128, diastolic=82, time="2026-03-09T07:25:00-04:00", **more):
    body = {"systolic_blood_pressure": {"value": systolic, "unit": "mmHg"}, "diastolic_blood_pressure": {"value": diastolic, "unit": "mmHg"}, **at(time)}
    return point("blood-pressure", "4.0", body, **more)


def heart_rate(value, time, **more):
    return point("heart-rate", "2.0", {"heart_rate": {"value": value, "unit": "beats/min"}, **at(time)}, **more)


def record(type_, value, unit, start, end=None, source="Watch", created=None, inner="", device=""):
    made = f' creationDate="{created}"' if created else ""
    measured = f' unit="{unit}"' if unit else ""
    hardware = f' device="{device}"' if device else ""
    return f'<Record type="{type_}" sourceName="{source}"{hardware}{measured}{made} startDate="{start}" endDate="{end or start}" value="{value}">{inner}</Record>'


DOCTYPE = """<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 13 -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
<!ATTLIST Record unit CDATA "kg">
]>
"""


def export(*records, doctype=DOCTYPE):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}<HealthData locale="en_US">\n <ExportDate value="2026-03-10 08:00:00 -0400"/>\n' + "\n".join(records) + "\n</HealthData>\n"
