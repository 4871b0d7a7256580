"""Quantities: reading, comparing and multiplying them, by UCUM units or by calendar words.

Spec: http://hl7.org/fhirpath/N1/#quantity
"""

from __future__ import annotations

import re
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from terminology.ucum import SYSTEM, Incommensurable, convert

_WORDS: Final = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
CALENDAR: Final = MappingProxyType({**{word: word for word in _WORDS}, **{word + "s": word for word in _WORDS}})
"""The calendar's words, by each of their forms."""
_UCUM: Final = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
_UCUM_WORDS: Final = {code: word for word, code in _UCUM.items()}
_ABOUT: Final = {"year": "a", "month": "mo"}
_WRITTEN: Final = re.compile(r"(?P<value>[+-]?\d{1,28}(?:\.\d{1,28})?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[a-zA-Z]+))?", re.ASCII)


class Quantity(NamedTuple):
    """A number and its unit: a UCUM code, a calendar word, or `system|code` where the unit is of another system."""

    value: Decimal
    unit: str
    calendar: bool = False

    def __str__(self) -> str:
        """Write it as a literal."""
        return f"{self.value:f} {self.unit}" if self.calendar else f"{self.value:f} '{self.unit}'"

    @property
    def code(self) -> str:
        """UCUM code; of year and month the word, because UCUM's are of a fixed length."""
        if not self.calendar:
            return self.unit
        word = CALENDAR[self.unit]
        return _UCUM.get(word, word)

    @property
    def step(self) -> str | None:
        """The calendar's word for a unit that a date can be moved by; none for others."""
        if self.calendar or self.unit in CALENDAR:
            return CALENDAR[self.unit]
        return _UCUM_WORDS.get(self.unit)

    def in_unit(self, unit: str) -> Quantity | None:
        """The quantity in another unit; none where it does not convert."""
        wanted = Quantity(Decimal(0), unit, calendar=unit in CALENDAR)
        found = _converted(wanted, self)
        return None if found is None else wanted._replace(value=found)


def read_quantity(text: str) -> Quantity | None:
    """Read a quantity from a text such as 4.5 'mg' or 4 days."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or (found["word"] and found["word"] not in CALENDAR):
        return None
    return Quantity(Decimal(found["value"]), found["word"] or found["unit"] or "1", calendar=bool(found["word"]))


def fhir_quantity(value: Decimal, system: str, code: str, unit: str) -> Quantity:
    """Make a quantity of the elements of FHIR's Quantity."""
    if system == SYSTEM and code:
        return Quantity(value, code)
    return Quantity(value, f"{system}|{code or unit}" if system or code or unit else "1")


def comparable(left: Quantity, right: Quantity) -> bool:
    """Whether the units measure the same."""
    return _converted(left, right) is not None


def compare_quantities(left: Quantity, right: Quantity) -> int | None:
    """Order two quantities: negative, 0 or positive; none where their units do not compare."""
    other = _converted(left, right)
    if other is None:
        return None
    return 0 if left.value == other else (-1 if left.value < other else 1)


def equivalent_quantities(left: Quantity, right: Quantity) -> bool:
    """Whether two quantities are the same at the precision of the less precise one; a month is about a UCUM month."""
    about = {_ABOUT.get(left.code, left.code), _ABOUT.get(right.code, right.code)}
    other = right.value if len(about) == 1 else _converted(left, right)
    return other is not None and equivalent_numbers(left.value, other)


def equivalent_numbers(left: Decimal, right: Decimal) -> bool:
    """Whether two numbers are the same when both are rounded to the digits of the less precise one."""
    places = min(_places(left), _places(right))
    return left.quantize(places_step(places)) == right.quantize(places_step(places))


def places_step(places: int) -> Decimal:
    """The unit of the last of some decimal places."""
    return Decimal(1).scaleb(-places)


def _places(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _converted(left: Quantity, right: Quantity) -> Decimal | None:
    """The value of the right one in the unit of the left one."""
    try:
        return convert(right.value, right.code, left.code)
    except Incommensurable:
        return None
