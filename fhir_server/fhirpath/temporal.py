"""Dates, times and their precision: reading, comparing and moving them.

Spec: http://hl7.org/fhirpath/N1/#datetime-comparison
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

_DATE: Final = r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?"
_CLOCK: Final = r"(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d(?:\.\d{1,12})?))?)?"
_ZONE: Final = r"(?P<zone>Z|[+-]\d\d:\d\d)?"
_FORMS: Final = {
    "Date": re.compile(_DATE, re.ASCII),
    "DateTime": re.compile(rf"{_DATE}(?:T(?:{_CLOCK}{_ZONE})?)?", re.ASCII),
    "Time": re.compile(_CLOCK, re.ASCII),
}
_KINDS: Final = {"date": "Date", "datetime": "DateTime", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}
_NAMES: Final = ("year", "month", "day", "hour", "minute", "second")
_LEAST: Final = (1, 1, 1, 0, 0, Decimal(0))
_EAST, _WEST = 14 * 60, -12 * 60
_LAST_SECOND: Final = Decimal("59.999")
_DIGITS: Final = {"Date": (4, 6, 8), "DateTime": (4, 6, 8, 10, 12, 14), "Time": (2, 4, 6)}
_MILLISECOND_DIGITS: Final = {"DateTime": 17, "Time": 9}


class Temporal(NamedTuple):
    """A date, a date with time, or a time, as far as it is known."""

    kind: str
    """Date, DateTime or Time."""
    parts: tuple[int | Decimal, ...]
    """Year, month, day, hour, minute, second; of a time, hour first. Shorter where less is known."""
    offset: int | None = None
    """Minutes east of UTC."""

    def __str__(self) -> str:
        """Write it as FHIR does."""
        if self.kind == "Time":
            return _clock(self.parts)
        text = "-".join((f"{self.parts[0]:04}", *(f"{part:02}" for part in self.parts[1:3])))
        return f"{text}T{_clock(self.parts[3:])}{_zone(self.offset)}" if len(self.parts) > 3 else text

    @property
    def digits(self) -> int:
        """Precision, as the number of digits."""
        count = len(self.parts)
        whole = _DIGITS[self.kind][count - 1]
        return whole + 3 if isinstance(self.parts[-1], Decimal) and self.parts[-1].as_tuple().exponent else whole


def _clock(parts: tuple[int | Decimal, ...]) -> str:
    return ":".join(f"{part:02}" if isinstance(part, int) else _second(part) for part in parts)


def _second(second: Decimal) -> str:
    text = f"{second:f}"
    return text if text.partition(".")[0][1:] else f"0{text}"


def _zone(offset: int | None) -> str:
    if offset is None:
        return ""
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}" if offset else "Z"


@lru_cache(8192)
def read_temporal(text: str, type_: str) -> Temporal | None:
    """Read a date or time of a FHIR type, or of a kind of literal; none where there is no such moment."""
    kind = _KINDS.get(type_, type_)
    found = _FORMS[kind].fullmatch(text)
    if found is None:
        return None
    named = found.groupdict()
    parts = tuple(Decimal(part) if name == "second" else int(part) for name in _NAMES if (part := named.get(name)) is not None)
    if not _exists(kind, parts):
        return None
    return Temporal(kind, parts, _offset(named.get("zone")))


def _offset(zone: str | None) -> int | None:
    if not zone:
        return None
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def _exists(kind: str, parts: tuple[int | Decimal, ...]) -> bool:
    clock = parts if kind == "Time" else parts[3:]
    if any(part >= limit for part, limit in zip(clock, (24, 60, 61), strict=False)):
        return False
    if kind == "Time":
        return True
    year, month, day = (*(int(part) for part in parts[:3]), 1, 1)[:3]
    return year > 0 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def compare(left: Temporal, right: Temporal) -> int | None:
    """Order two moments: negative, 0 or positive; none where what is known of them does not tell."""
    if (left.offset is None) != (right.offset is None):
        return _compare_spans(left, right)
    first, second = (left.parts, right.parts) if left.offset == right.offset else (in_utc(left), in_utc(right))
    for one, other in zip(first, second, strict=False):
        if one != other:
            return -1 if one < other else 1
    return 0 if len(first) == len(second) else None


def _compare_spans(left: Temporal, right: Temporal) -> int | None:
    """Compare where one of the two has no time zone: it may be any."""
    if in_utc(_edge(left, high=True)) < in_utc(_edge(right, high=False)):
        return -1
    return 1 if in_utc(_edge(left, high=False)) > in_utc(_edge(right, high=True)) else None


def in_utc(moment: Temporal) -> tuple[int | Decimal, ...]:
    """The parts of a moment in UTC; as they are, where it has no time zone."""
    if not moment.offset or len(moment.parts) < 4:
        return moment.parts
    fields = [int(part) for part in moment.parts[:5]]
    try:
        moved = dt.datetime(*fields, tzinfo=dt.UTC) - dt.timedelta(minutes=moment.offset)  # type: ignore[misc,arg-type]
    except OverflowError:
        return moment.parts
    minute = (moved.minute,) if len(moment.parts) > 4 else ()
    return (moved.year, moved.month, moved.day, moved.hour, *minute, *moment.parts[5:])


def _edge(moment: Temporal, *, high: bool) -> Temporal:
    """The first or last millisecond that the moment may be, in the zone that makes it the first or last."""
    parts = _filled(moment, high=high)
    offset = moment.offset
    if offset is None and moment.kind != "Time":
        offset = _WEST if high else _EAST
    return Temporal("Time" if moment.kind == "Time" else "DateTime", parts, offset)


def _filled(moment: Temporal, *, high: bool) -> tuple[int | Decimal, ...]:
    least = _LEAST[3:] if moment.kind == "Time" else _LEAST
    if not high:
        return moment.parts + least[len(moment.parts) :]
    most: tuple[int | Decimal, ...] = (23, 59, _LAST_SECOND)
    if moment.kind != "Time":
        year, month = int(moment.parts[0]), int(moment.parts[1]) if len(moment.parts) > 1 else 12
        most = (year, 12, calendar.monthrange(year, month)[1], *most)
    filled = moment.parts + most[len(moment.parts) :]
    whole = isinstance(filled[-1], Decimal) and len(moment.parts) == len(filled) and not filled[-1].as_tuple().exponent
    return (*filled[:-1], filled[-1] + Decimal("0.999")) if whole else filled


def boundary(moment: Temporal, digits: int | None, *, high: bool) -> Temporal | None:
    """The first or last moment that this may be, with a precision in digits (4 a year, 8 a day, 17 a millisecond); none where that is no precision."""
    widths = _DIGITS[moment.kind]
    most = _MILLISECOND_DIGITS.get(moment.kind, widths[-1])
    wanted = most if digits is None else digits
    if wanted not in (*widths, most):
        return None
    edge = _edge(moment, high=high)
    if wanted == most and moment.kind != "Date":
        return Temporal(moment.kind, (*edge.parts[:-1], Decimal(edge.parts[-1]).quantize(Decimal("0.001"))), edge.offset)
    count = widths.index(wanted) + 1
    parts = edge.parts[:count]
    if parts and isinstance(parts[-1], Decimal):
        parts = (*parts[:-1], Decimal(int(parts[-1])))
    return Temporal(moment.kind, parts, edge.offset if count > 3 else None)


_STEPS: Final = {"week": 7 * 86_400_000, "day": 86_400_000, "hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1}
_UNIT_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")


def moved(moment: Temporal, count: int, unit: str) -> Temporal | None:
    """A moment some whole years, months, weeks, days, hours, minutes, seconds or milliseconds later; none where the calendar ends.

    Of a moment that is known less exactly than the unit, only whole steps of its own precision count.
    """
    if moment.kind == "Time":
        return _moved_clock(moment, count * _STEPS[unit]) if unit in _STEPS else None
    if unit in ("year", "month"):
        return _moved_months(moment, count * 12 if unit == "year" else count)
    milliseconds = count * _STEPS[unit]
    known = len(moment.parts)
    if known < 3:
        days = abs(milliseconds) // _STEPS["day"]
        sign = -1 if milliseconds < 0 else 1
        return _moved_months(moment, sign * (days // 365 * 12 if known == 1 else days // 30))
    if known < 6:
        step = _STEPS[_UNIT_PARTS[known - 1]]
        milliseconds = (abs(milliseconds) // step * step) * (-1 if milliseconds < 0 else 1)
    return _moved_by(moment, milliseconds)


def _moved_months(moment: Temporal, months: int) -> Temporal | None:
    year, month = int(moment.parts[0]), int(moment.parts[1]) if len(moment.parts) > 1 else 1
    if len(moment.parts) == 1:
        months = int(months / 12) * 12
    year, month = divmod(year * 12 + month - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    day = min(int(moment.parts[2]), calendar.monthrange(year, month + 1)[1]) if len(moment.parts) > 2 else 1
    whole = (year, month + 1, day, *moment.parts[3:])
    return moment._replace(parts=whole[: len(moment.parts)])


def _moved_by(moment: Temporal, milliseconds: int) -> Temporal | None:
    fields = [int(part) for part in moment.parts[:5]]
    second = moment.parts[5] if len(moment.parts) > 5 else Decimal(0)
    seconds, rest = divmod(Decimal(second) + Decimal(milliseconds) / 1000, 60)
    if rest < 0:
        seconds, rest = seconds - 1, rest + 60
    try:
        start = dt.datetime(*(*fields, 0, 0)[:5], tzinfo=dt.UTC)  # type: ignore[misc,arg-type]
        found = start + dt.timedelta(minutes=int(seconds))
    except OverflowError:
        return None
    whole = (found.year, found.month, found.day, found.hour, found.minute, rest)
    return moment._replace(parts=whole[: len(moment.parts)])


def _moved_clock(moment: Temporal, milliseconds: int) -> Temporal:
    hour, minute, second = (*moment.parts, 0, Decimal(0))[:3] if len(moment.parts) < 3 else moment.parts
    total = (int(hour) * 3600 + int(minute) * 60 + Decimal(second) + Decimal(milliseconds) / 1000) % 86_400
    if total < 0:
        total += 86_400
    minutes, rest = divmod(total, 60)
    whole = (int(minutes) // 60, int(minutes) % 60, rest)
    return moment._replace(parts=whole[: len(moment.parts)])
