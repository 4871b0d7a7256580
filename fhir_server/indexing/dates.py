"""FHIR dates as half-open intervals of microseconds, as wide as their precision.

Spec: https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

OPEN_LOW = -(2**62)
OPEN_HIGH = 2**62
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_YEAR = 9999
_DECEMBER = 12
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:\.(\d+))?)?(Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))?)?)?)?\Z",
    re.ASCII,
)


@lru_cache(maxsize=65_536)
def date_bounds(text: str) -> tuple[int, int] | None:
    """[low, high) in µs since 1970 UTC of a date, dateTime or instant; None when it is none. Without a zone: UTC.

    Minutes without seconds are accepted too, because search values may have them.
    """
    found = _DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        if day is None:
            return _wide_bounds(int(year), month)
        low = (date(int(year), int(month), int(day)).toordinal() - _EPOCH) * _DAY
    except ValueError:
        return None
    if hour is None:
        return low, low + _DAY
    low += (int(hour) * 3600 + int(minute) * 60 - _offset(zone)) * _SECOND
    if second is None:
        return low, low + 60 * _SECOND
    low += int(second) * _SECOND
    if fraction is None:
        return low, low + _SECOND
    width = 10 ** max(0, 6 - len(fraction))
    low += int(fraction[:6].ljust(6, "0"))
    return low, low + width


def _wide_bounds(year: int, month: str | None) -> tuple[int, int]:
    first = date(year, int(month or 1), 1)
    next_year, next_month = (year + 1, 1) if month is None or int(month) == _DECEMBER else (year, int(month) + 1)
    low = (first.toordinal() - _EPOCH) * _DAY
    if next_year > _LAST_YEAR:
        return low, low + (366 if month is None else 31) * _DAY
    return low, (date(next_year, next_month, 1).toordinal() - _EPOCH) * _DAY


def _offset(zone: str | None) -> int:
    """Seconds east of UTC."""
    if zone is None or zone == "Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds
