"""When a job runs next: every so many seconds, or once a day where the house is.

A run that was missed is made up for once: the next time is always reckoned from now, never from the time that was missed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Protocol
from zoneinfo import ZoneInfo

SECOND_US: Final = 1_000_000
DAY_S: Final = 86_400.0
_AN_HOUR_MORE_S: Final = 90_000.0
"""The longest day: the clocks go back by an hour."""
_FIRST_S: Final = 5.0
_LEAST_CAP_S: Final = 60.0
_CAP_S: Final = 3600.0


class Schedule(Protocol):
    """When a job runs."""

    @property
    def text(self) -> str:
        """In words, for people: every 15 s."""
        ...

    @property
    def longest_s(self) -> float:
        """No run is farther away than this."""
        ...

    def after(self, now_us: int) -> int:
        """The first run after an instant, both in microseconds since 1970 UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many seconds, counted from the beginning of the last run."""

    seconds: float

    @property
    def text(self) -> str:
        """In words, in the largest unit that leaves no rest."""
        for unit, size in (("h", 3600), ("min", 60)):
            if self.seconds and self.seconds % size == 0:
                return f"every {self.seconds / size:g} {unit}"
        return f"every {self.seconds:g} s"

    @property
    def longest_s(self) -> float:
        """No run is farther away than this."""
        return self.seconds

    def after(self, now_us: int) -> int:
        """The first run after an instant."""
        return now_us + round(self.seconds * SECOND_US)


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day at a local time; on the day on which that time does not exist an hour later, on the day on which it comes twice the first time."""

    hour: int
    minute: int
    zone: ZoneInfo

    @property
    def text(self) -> str:
        """In words."""
        return f"daily at {self.hour:02d}:{self.minute:02d} {self.zone.key}"

    @property
    def longest_s(self) -> float:
        """No run is farther away than this."""
        return _AN_HOUR_MORE_S

    def after(self, now_us: int) -> int:
        """The first run after an instant."""
        today = dt.datetime.fromtimestamp(now_us // SECOND_US, self.zone).date()
        for days in range(-1, 3):
            date = today + dt.timedelta(days=days)
            moment = dt.datetime(date.year, date.month, date.day, self.hour, self.minute, tzinfo=self.zone)
            found = round(moment.timestamp()) * SECOND_US
            if found > now_us:
                return found
        raise ValueError("there is no such time of day")


def retry_s(failures: int, schedule: Schedule) -> float:
    """How long to wait after so many failures in a row: 5 s, then twice as long each time, up to the schedule's own pace (a minute to an hour)."""
    cap = min(max(schedule.longest_s, _LEAST_CAP_S), _CAP_S)
    return float(min(_FIRST_S * 2.0 ** min(max(failures - 1, 0), 20), cap))


def believable(next_us: int, now_us: int, schedule: Schedule) -> bool:
    """Whether a run may be planned for an instant; a clock that was set back makes it farther away than any schedule would."""
    return next_us <= now_us + round(max(schedule.longest_s, _CAP_S) * SECOND_US)
