"""An hour's samples at their uneven times as SampledData: the coarsest even grid that shows every one of them.

The grid starts with the hour. Slot i holds what was sampled in [start + i * period, start + (i + 1) * period), so that a time is
true to one period; exact times are in the chunk. "E" is an empty slot, or one whose value is implausible; "L" and "U" are beyond
what the sensor can tell.
Spec: https://hl7.org/fhir/R4/datatypes.html#SampledData
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.vendors.metric import HOUR_US
from ingest.vendors.reading import ABOVE, BELOW, IMPLAUSIBLE, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

PERIODS_S: Final = (300, 240, 180, 150, 120, 100, 90, 75, 60, 50, 45, 40, 36, 30, 25, 24, 20, 18, 15, 12, 10, 9, 8, 6, 5, 4, 3, 2, 1)
"""Seconds that divide an hour."""
EMPTY: Final = "E"


class Grid(NamedTuple):
    """A SampledData body.

    Attributes:
        period_s: Seconds between two slots.
        data: Slots, separated by spaces, for the whole hour.
        hidden: Samples that share a second with a later one and are in the chunk alone.
    """

    period_s: int
    data: str
    hidden: int


def grid(readings: Sequence[Reading], hour: int) -> Grid:
    """Lay samples out.

    Args:
        readings: Samples of one hour, by time.
        hour: The hour, counted from 1970 UTC.
    """
    first = hour * HOUR_US
    seconds = [(reading.start - first) // 1_000_000 for reading in readings]
    apart = len(set(seconds))
    period = next(each for each in PERIODS_S if len({second // each for second in seconds}) == apart)
    slots = [EMPTY] * (3600 // period)
    for second, reading in zip(seconds, readings, strict=True):
        written = _written(reading)
        if written != EMPTY:
            slots[second // period] = written
    return Grid(period, " ".join(slots), len(readings) - apart)


def _written(reading: Reading) -> str:
    if reading.flags & IMPLAUSIBLE:
        return EMPTY
    if reading.flags & BELOW:
        return "L"
    return "U" if reading.flags & ABOVE else f"{reading.value:f}"
