"""Times of readings: instants with their offset; a naive local time only with the subject's zone, and only where it names one instant.

Spec: https://www.rfc-editor.org/rfc/rfc3339
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SHAPE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s?(?:([Zz])|([+-])(\d\d):?(\d\d))?"
)
_DATE: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_FIRST_YEAR, _LAST_YEAR = 1000, 9900
NO_ZONE: Final = "This is a local time without its offset from UTC: name the subject's zone, as in ?timezone=Europe/Berlin."
NO_TIME: Final = "This is no date and time such as 2026-03-09T07:05:00-04:00."
GAP: Final = "This local time does not exist in the subject's zone: clocks were put forward over it."
FOLD: Final = "This local time came twice in the subject's zone, because clocks were put back: only a time with its offset can tell which."


class Moment(NamedTuple):
    """An instant in microseconds since 1970 UTC, and the minutes east of UTC that the subject's clock showed."""

    us: int
    offset: int


def moment(text: str, zone: ZoneInfo | None) -> Moment | str:
    """Read a date and time; a sentence where it is none or names no single instant."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return NO_TIME
    if not _FIRST_YEAR <= int(found[1]) <= _LAST_YEAR:
        return NO_TIME
    fraction = (found[7] or "")[:6].ljust(6, "0")
    try:
        local = datetime(int(found[1]), int(found[2]), int(found[3]), int(found[4]), int(found[5]), int(found[6] or 0), int(fraction), tzinfo=UTC)
    except ValueError:
        return NO_TIME
    if found[8]:
        return Moment((local - EPOCH) // _MICROSECOND, 0)
    if found[9] is None:
        return _localized(local.replace(tzinfo=None), zone)
    hours, minutes = int(found[10]), int(found[11])
    if hours > 14 or minutes > 59:
        return NO_TIME
    offset = (hours * 60 + minutes) * (-1 if found[9] == "-" else 1)
    return Moment((local - EPOCH) // _MICROSECOND - offset * 60_000_000, offset)


def is_naive(text: str) -> bool:
    """Whether this is a date and time without an offset."""
    found = _SHAPE.fullmatch(text)
    return found is not None and found[8] is None and found[9] is None


def offset_at(us: int, zone: ZoneInfo) -> int:
    """Minutes east of UTC in a zone at an instant."""
    offset = (EPOCH + timedelta(microseconds=us)).astimezone(zone).utcoffset()
    return round(offset.total_seconds() / 60) if offset is not None else 0


def civil_day(text: str, zone: ZoneInfo | None) -> tuple[Moment, Moment] | str:
    """First and last instant of a date in the subject's zone."""
    found = _DATE.fullmatch(text)
    if found is None:
        return "This is no date such as 2026-03-09."
    if zone is None:
        return "This is a date without a zone: name the subject's, as in ?timezone=Europe/Berlin."
    try:
        first = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=zone)
        following = first + timedelta(days=1)
    except (ValueError, OverflowError):
        return "This is no date such as 2026-03-09."
    start, end = (first - EPOCH) // _MICROSECOND, (following - EPOCH) // _MICROSECOND
    return Moment(start, offset_at(start, zone)), Moment(end - 1_000, offset_at(end - 1_000, zone))


def iso(us: int, offset: int) -> str:
    """Write an instant as the subject's clock showed it, in milliseconds if it has any: 2026-03-09T07:05:00-04:00."""
    local = EPOCH + timedelta(microseconds=us, minutes=offset)
    rest = f".{local.microsecond // 1000:03d}" if local.microsecond >= 1000 else ""
    sign = "-" if offset < 0 else "+"
    return f"{local.year:04d}-{local:%m-%dT%H:%M:%S}{rest}{sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"


def _localized(naive: datetime, zone: ZoneInfo | None) -> Moment | str:
    if zone is None:
        return NO_ZONE
    try:
        first, second = (naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        instants = {(first - EPOCH) // _MICROSECOND, (second - EPOCH) // _MICROSECOND}
        back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return NO_TIME
    if back != naive:
        return GAP
    if len(instants) > 1:
        return FOLD
    us = instants.pop()
    return Moment(us, offset_at(us, zone))
