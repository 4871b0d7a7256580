"""The canonical reading: one measured value in UCUM units at exact times, whatever vendor brought it."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

IMPLAUSIBLE_VALUE: Final = 1
IMPLAUSIBLE_TIME: Final = 2
IMPLAUSIBLE: Final = IMPLAUSIBLE_VALUE | IMPLAUSIBLE_TIME
BELOW: Final = 4
"""The value is the lowest that the sensor can tell; the true one is lower."""
ABOVE: Final = 8
"""The value is the highest that the sensor can tell; the true one is higher."""
SELF_REPORTED: Final = 16
"""A person typed it in."""


class Source(NamedTuple):
    """The app and device that a reading came from; empty where the vendor does not say."""

    vendor: str
    name: str
    device: str = ""
    manufacturer: str = ""
    model: str = ""

    @property
    def key(self) -> str:
        """What makes two readings come from one source."""
        return "\n".join(self)


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One reading.

    Attributes:
        metric: Name in the metric table (metric.py).
        source: Where it came from.
        start: When, or from when: microseconds since 1970 UTC.
        end: Until when; `start` for a moment.
        offset: Minutes east of UTC that the subject's clock showed.
        value: In the metric's unit.
        flags: Bits: implausible value or time, below or above what the sensor can tell, self-reported.
        vendor_id: The vendor's id of the reading; empty where it has none.
        updated: When the vendor last changed it, else when the payload first came: of two versions the newer one wins.
        detail: What else was said in few words, such as `trend=flat`.
    """

    metric: str
    source: Source
    start: int
    end: int
    offset: int
    value: Decimal
    flags: int = 0
    vendor_id: str = ""
    updated: int = 0
    detail: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes two readings of one metric and source the same: the vendor's id, else the time."""
        return (self.vendor_id, 0, 0) if self.vendor_id else ("", self.start, self.end)


class Unknown(NamedTuple):
    """Something that is no metric here; it is counted by name and stays in the raw payload."""

    name: str


class Problem(NamedTuple):
    """Why a payload is refused, and where: the path of the element, never its content."""

    path: str
    text: str
    code: str = "value"


Item = Reading | Unknown | Problem
