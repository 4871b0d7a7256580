"""Any UCUM code to its canonical form: a dimension, and an exact scale and offset to its base units.

Annotations say nothing about size and are dropped. Celsius, Fahrenheit and Réaumur have an offset and stand alone; codes on
logarithmic and other scales of their own have no canonical form here, as has anything that is not a valid code.
Spec: https://ucum.org/ucum
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

TABLE: Final = Path(__file__).with_name("ucum_units.json")
MAX_LENGTH: Final = 100
_MAX_EXPONENT: Final = 99
_MAX_POWER: Final = 400
"""Scales beyond what a double can hold are no units of anything."""

_TOKEN: Final = re.compile(
    r"(?P<unit>10[*^]|(?:[!#-'*,:-Z\\^-z|~]|\[[!-Z\\^-~]*\])+)(?P<exponent>[+-]?\d+)?(?:\{[!-z|~]*\})?"
    r"|(?P<factor>\d+)(?:\{[!-z|~]*\})?|(?P<note>\{[!-z|~]*\})|(?P<sign>[./()])",
    re.ASCII,
)


class Canonical(NamedTuple):
    """A value v in a unit is v * scale + offset in the base units of its dimension."""

    dimension: str
    scale: Fraction
    offset: Fraction = Fraction(0)


class _Size(NamedTuple):
    scale: Fraction
    powers: tuple[tuple[str, int], ...]


class _NoUnitError(ValueError):
    """Not a code, or none with a canonical form."""


_DEGREES: Final = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    "[degRe]": (Fraction(5, 4), Fraction("273.15")),
}


@lru_cache(maxsize=4096)
def canonical(code: str) -> Canonical | None:
    """Canonical form of a case-sensitive UCUM code; none where it has none."""
    if not code or len(code) > MAX_LENGTH:
        return None
    if code in _DEGREES:
        return Canonical("K", *_DEGREES[code])
    try:
        size = _Reader(code).read()
    except _NoUnitError:
        return None
    return Canonical(".".join(f"{base}{power}" if power != 1 else base for base, power in size.powers) or "1", size.scale)


def converted(value: Fraction, source: Canonical, target: Canonical) -> Fraction:
    """Convert a value between two units of one dimension, exactly."""
    return (value * source.scale + source.offset - target.offset) / target.scale


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TABLE.read_text(encoding="ascii"))
    return found


@cache
def _atom(code: str) -> _Size:
    """Size of a unit atom, without a prefix."""
    _, value, unit = _table()["units"][code]
    if not unit:
        return _Size(Fraction(1), ((code, 1),))
    inner = _Reader(unit).read()
    return _Size(Fraction(value) * inner.scale, inner.powers)


@lru_cache(maxsize=4096)
def _symbol(text: str) -> _Size:
    """Size of an atom, or of a prefix and a metric atom."""
    units = _table()["units"]
    if text in units:
        return _atom(text)
    for length in (1, 2):
        scale, atom = _table()["prefixes"].get(text[:length]), text[length:]
        if scale is not None and atom in units and units[atom][0]:
            size = _atom(atom)
            return _Size(Fraction(scale) * size.scale, size.powers)
    raise _NoUnitError


class _Reader:
    """Read `term ( . | / ) component ...` from the left; a slash divides by the one component behind it."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._place = 0

    def read(self) -> _Size:
        size = self._term()
        if self._place != len(self._code):
            raise _NoUnitError
        return size

    def _sign(self, signs: str) -> str:
        if self._place < len(self._code) and self._code[self._place] in signs:
            self._place += 1
            return self._code[self._place - 1]
        return ""

    def _term(self) -> _Size:
        size = _Size(Fraction(1), ())
        sign = self._sign("/") or "."
        while sign:
            size = _times(size, self._component(), -1 if sign == "/" else 1)
            sign = self._sign("./")
        return size

    def _component(self) -> _Size:
        if self._sign("("):
            size = self._term()
            if not self._sign(")"):
                raise _NoUnitError
            self._note()
            return size
        found = _TOKEN.match(self._code, self._place)
        if found is None or found["sign"]:
            raise _NoUnitError
        self._place = found.end()
        if found["factor"]:
            if not int(found["factor"]):
                raise _NoUnitError
            return _Size(Fraction(found["factor"]), ())
        if found["note"]:
            return _Size(Fraction(1), ())
        exponent = int(found["exponent"] or "1")
        if not 0 < abs(exponent) <= _MAX_EXPONENT:
            raise _NoUnitError
        return _times(_Size(Fraction(1), ()), _symbol(found["unit"]), exponent)

    def _note(self) -> None:
        found = _TOKEN.match(self._code, self._place)
        if found is not None and found["note"]:
            self._place = found.end()


def _times(one: _Size, other: _Size, exponent: int) -> _Size:
    """Multiply by a power of another size."""
    powers = dict(one.powers)
    for base, power in other.powers:
        powers[base] = powers.get(base, 0) + power * exponent
    scale = one.scale * other.scale**exponent
    if not Fraction(10) ** -_MAX_POWER < scale < Fraction(10) ** _MAX_POWER:
        raise _NoUnitError
    return _Size(scale, tuple(sorted((base, power) for base, power in powers.items() if power)))
