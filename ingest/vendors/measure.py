"""A number and a unit as a vendor writes them become a value in the metric's unit, judged against what is possible."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.vendors.metric import DAY_US, metric
from ingest.vendors.reading import IMPLAUSIBLE_TIME, IMPLAUSIBLE_VALUE
from terminology.ucum import GLUCOSE_G_PER_MOL, Incommensurable, conversion, molar_mass, ucum_code

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

_NUMBER: Final = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,2})?")
_DIGITS: Final = 24
_FIRST_DEVICE_US: Final = 0
_GLUCOSE: Final = frozenset({"glucose", "glucose-interstitial", "glucose-plasma"})
NO_NUMBER: Final = "This is no number that a measure can have."


class Context(NamedTuple):
    """What the request says about a payload: the subject's zone, and when the payload first came (microseconds)."""

    zone: ZoneInfo | None
    received: int

    def flags(self, name: str, value: Decimal, start: int, end: int) -> int:
        """What is implausible about a reading: nothing is dropped, nothing is guessed."""
        found = 0 if metric(name).possible(value) else IMPLAUSIBLE_VALUE
        return found if _FIRST_DEVICE_US <= start <= end <= self.received + DAY_US else found | IMPLAUSIBLE_TIME


def number(text: str) -> Decimal | None:
    """Read a number, every digit of it; none where it is no number, or has more digits than a measure can have."""
    if not _NUMBER.fullmatch(text):
        return None
    value = Decimal(text)
    if not value:
        value = value.copy_abs()
    _, digits, exponent = value.as_tuple()
    return value if isinstance(exponent, int) and len(digits) <= _DIGITS and abs(value.adjusted()) < _DIGITS else None


@lru_cache(maxsize=1024)
def scale(name: str, unit: str, code: str | None = None) -> Callable[[Decimal], Decimal] | None:
    """How values of a metric in a vendor's unit become values in the metric's own.

    Args:
        name: Name of the metric.
        unit: The unit as the vendor writes it.
        code: The UCUM code of the unit, where the vendor's word means something else than elsewhere.

    Returns:
        A conversion; a value already in the unit keeps its digits, another is rounded to the metric's places. None: the unit is
        not known, or measures something else.
    """
    row, source = metric(name), code or ucum_code(unit)
    if source is None:
        return None
    if source == row.unit:
        return _same
    try:
        grams = (molar_mass(unit) or GLUCOSE_G_PER_MOL) if name.partition(".")[0] in _GLUCOSE else None
        found, places = conversion(source, row.unit, grams), row.places
    except Incommensurable:
        return None

    def convert(value: Decimal) -> Decimal:
        return trimmed(found.apply(value), places)

    return convert


def trimmed(value: Decimal, places: int) -> Decimal:
    """Round to some places and drop zeros behind the last digit that says something."""
    rounded = round(value, places)
    text = f"{rounded:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _same(value: Decimal) -> Decimal:
    return value
