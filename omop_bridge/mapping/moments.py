"""FHIR dates and times as OMOP keeps them: the date as it was recorded, the time in UTC.

The date is never shifted by a time zone: 23:30-05:00 on the 1st stays the 1st, though its datetime is 04:30 of the 2nd.

Spec: https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from datetime import date as civil_date
from typing import Any, Final, NamedTuple

_DAY: Final = 10

NO_DATE = "no-date"
INCOMPLETE = "date-incomplete"


class Moment(NamedTuple):
    """A day as `YYYY-MM-DD`, and where the source knows the time, `YYYY-MM-DD HH:MM:SS` in UTC."""

    date: str
    datetime: str | None = None


def to_moment(text: object) -> Moment | None:
    """Read a date, dateTime or instant; None where it is absent or says less than a day."""
    if not isinstance(text, str) or len(text) < _DAY:
        return None
    return Moment(text[:_DAY], _utc(text) if len(text) > _DAY else None)


def why_not(text: object) -> str:
    """Say why something gave no moment."""
    return INCOMPLETE if isinstance(text, str) and text else NO_DATE


def element(resource: Mapping[str, Any], name: str) -> tuple[object, object]:
    """Start and end of a choice of dateTime, instant and Period, as they are written."""
    period = resource.get(f"{name}Period") or {}
    start = resource.get(f"{name}DateTime") or resource.get(f"{name}Instant") or period.get("start")
    return start, period.get("end")


def ended(start: Moment, end: Moment | None) -> Moment | None:
    """The end of what began at `start`: none where it lies before it; the day of an end in another time zone is never earlier than that of the start."""
    if end is None:
        return None
    if start.datetime and end.datetime:
        if end.datetime < start.datetime:
            return None
        return end if end.date >= start.date else Moment(start.date, end.datetime)
    return end if end.date >= start.date else None


def days_after(day: str, days: int) -> str:
    """The day so many days later."""
    return (civil_date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _utc(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):  # a leap second, or the year 1
        return None
