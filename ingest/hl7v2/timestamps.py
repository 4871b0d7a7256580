"""HL7 time stamps to FHIR dates and instants.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02a.html#Heading49 (DTM: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ])
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_DTM = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:\.(\d{1,4})\d*)?([+-]\d{4})?")
#: What senders write instead: ISO 8601 with its punctuation, a Z, an offset in hours, or one with a colon.
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?(Z|[+-]\d{2}(?::?\d{2})?)?)?")
_OFFSET = re.compile(r"(\d{10,14}(?:\.\d+)?)(Z|[+-]\d{2}(?::\d{2})?)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def dtm_to_date(value: str) -> str:
    """`YYYY`, `YYYY-MM` or `YYYY-MM-DD`; empty if the value is no date."""
    match = _match(value)
    return "" if match is None else "-".join(part for part in match.group(1, 2, 3) if part)


@lru_cache(maxsize=1024)
def dtm_to_datetime(value: str, zone: str = "+00:00") -> str:
    """FHIR dateTime of the given precision; a time without an offset gets `zone`; empty if the value is no time stamp."""
    match = _match(value)
    if match is None:
        return ""
    if match.group(4) is None:
        return dtm_to_date(value)
    return _seconds(match, zone)


@lru_cache(maxsize=1024)
def dtm_to_instant(value: str, zone: str = "+00:00") -> str:
    """FHIR instant: missing parts are the earliest they can be; empty if the value is no time stamp."""
    match = _match(value)
    return "" if match is None else _seconds(match, zone)


def dtm_to_us(value: str, zone: str = "+00:00") -> int | None:
    """Microseconds since 1970, UTC."""
    instant = dtm_to_instant(value, zone)
    return None if not instant else (datetime.fromisoformat(instant) - _EPOCH) // timedelta(microseconds=1)


def us_to_dtm(us: int) -> str:
    """HL7 time stamp in UTC, to the second."""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y%m%d%H%M%S+0000")


@lru_cache(maxsize=1024)
def zone_of(value: str) -> str:
    """Offset that a time stamp carries, as FHIR writes it; empty if it has none."""
    match = _match(value)
    return _offset(match.group(8)) if match is not None and match.group(8) else ""


def _match(value: str) -> re.Match[str] | None:
    match = _DTM.fullmatch(value.strip()) or _DTM.fullmatch(_respelled(value.strip()))
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or default) for part, default in zip(match.groups()[:6], "111000", strict=True))
    try:
        datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_zone(match.group(8)))
    except ValueError:
        return None
    return match


def _respelled(value: str) -> str:
    """A time stamp in ISO 8601 or with another offset as HL7 writes it; everything else as it is."""
    iso, other = _ISO.fullmatch(value), _OFFSET.fullmatch(value)
    if iso is not None:
        digits, offset = "".join(part or "" for part in iso.groups()[:6]), iso.group(7) or ""
    elif other is not None:
        digits, offset = other.groups()
    else:
        return value
    zone = "+0000" if offset == "Z" else offset.replace(":", "").ljust(5, "0")
    return digits + (zone if offset else "")


def _zone(offset: str | None) -> timezone:
    if not offset:
        return UTC
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=minutes if offset[0] == "+" else -minutes))


def _seconds(match: re.Match[str], zone: str) -> str:
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    seconds = f"{min(int(second or 0), 59):02d}" + (f".{fraction[:3].ljust(3, '0')}" if fraction and second else "")
    return f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{seconds}{_offset(offset) if offset else zone}"


def _offset(offset: str) -> str:
    return f"{offset[:3]}:{offset[3:]}"
