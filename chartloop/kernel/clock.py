"""The only place that asks what time it is; tests may set the clock."""

import datetime as dt
import time
from functools import lru_cache
from typing import Protocol

from chartloop.kernel.errors import Invalid

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_SECOND = dt.timedelta(seconds=1)


class Clock(Protocol):
    """Where time comes from."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, start: str = "2026-11-22T08:00:00Z") -> None:
        """Start at an instant."""
        self._now_us = parse_iso(start)
        self._monotonic_s = 0.0

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._now_us

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_us += round(seconds * 1_000_000)
        self._monotonic_s += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forwards or backwards, as an operator or NTP does; the other clock does not follow."""
        self._now_us += round(seconds * 1_000_000)


_clock: list[Clock] = [SystemClock()]


def set_clock(clock: Clock) -> Clock:
    """Use another clock, and return the one used before."""
    before, _clock[0] = _clock[0], clock
    return before


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return _clock[0].now_us()


def monotonic_s() -> float:
    """Seconds on a clock that never goes back."""
    return _clock[0].monotonic_s()


def perf_s() -> float:
    """Seconds on the machine's finest clock, for measuring only; never faked."""
    return time.perf_counter()


def iso(us: int) -> str:
    """Write an instant as FHIR writes it, in milliseconds: 2026-11-22T08:00:00.123Z."""
    second, rest = divmod(us, 1_000_000)
    return f"{_whole_second(second)}.{rest // 1000:03d}Z"


@lru_cache(maxsize=1024)
def _whole_second(second: int) -> str:
    """Write the seconds of an instant; those of one moment are asked for again and again."""
    return f"{_EPOCH + second * _SECOND:%Y-%m-%dT%H:%M:%S}"


def parse_iso(text: str) -> int:
    """Read an instant with its offset, in microseconds since 1970 UTC."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("This is not an instant such as 2026-11-22T08:00:00.123Z.") from None
    if moment.tzinfo is None:
        raise Invalid("An instant needs its offset from UTC, such as Z or +01:00.")
    return (moment - _EPOCH) // _MICROSECOND
