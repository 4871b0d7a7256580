"""Units of measure: what vendors write becomes a UCUM code, and values convert exactly between commensurable units.

Spec: https://ucum.org/ucum
"""

from __future__ import annotations

import re
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM: Final = "http://unitsofmeasure.org"
GLUCOSE_G_PER_MOL: Final = Decimal("180.156")
_ARITHMETIC: Final = Context(prec=34)


class Incommensurable(ValueError):
    """One of these units does not convert into the other."""


class _Unit(NamedTuple):
    dimension: str
    factor: Fraction
    offset: Fraction = Fraction(0)
    """A value v is v * factor + offset in the base unit of its dimension."""


def _units(dimension: str, **factors: str) -> dict[str, _Unit]:
    return {code: _Unit(dimension, Fraction(factor)) for code, factor in factors.items()}


_UNITS: Final[Mapping[str, _Unit]] = MappingProxyType(
    {
        **_units("mass", kg="1000", g="1", mg="1/1000", ug="1/1000000", t="1000000"),
        **_units("mass", ng="1/1000000000", pg="1/1000000000000", fg="1/1000000000000000"),
        **_units("mass", **{"[lb_av]": "453.59237", "[oz_av]": "28.349523125", "[stone_av]": "6350.29318", "[gr]": "0.06479891", "[ston_av]": "907184.74"}),
        **_units("length", km="1000", m="1", cm="1/100", mm="1/1000", um="1/1000000", nm="1/1000000000"),
        **_units("length", **{"[in_i]": "0.0254", "[ft_i]": "0.3048", "[yd_i]": "0.9144", "[mi_i]": "1609.344"}),
        "K": _Unit("temperature", Fraction(1)),
        "Cel": _Unit("temperature", Fraction(1), Fraction("273.15")),
        "[degF]": _Unit("temperature", Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
        **_units("time", s="1", ms="1/1000", us="1/1000000", ns="1/1000000000", ps="1/1000000000000", min="60", h="3600", d="86400", wk="604800"),
        **_units("frequency", **{"/min": "1/60", "/s": "1", "Hz": "1", "/h": "1/3600", "/d": "1/86400"}),
        **_units("pressure", **{"mm[Hg]": "133.322", "kPa": "1000", "Pa": "1", "cm[H2O]": "98.0665"}),
        **_units("fraction", **{"%": "1/100", "1": "1"}),
        **_units("energy", J="1", kJ="1000", kcal="4184", cal="4.184"),
        **_units("mass concentration", **{"mg/dL": "1/100", "g/L": "1", "g/dL": "10", "mg/L": "1/1000"}),
        **_units("substance concentration", **{"mmol/L": "1/1000", "mol/L": "1", "umol/L": "1/1000000"}),
        **_units("volume", L="1", dL="1/10", mL="1/1000"),
        **_units("flow", **{"L/min": "1/60", "L/s": "1", "mL/min": "1/60000"}),
        **_units("uptake", **{"mL/kg/min": "1", "mL/min/kg": "1"}),
        **_units("areic mass", **{"kg/m2": "1"}),
        **_units("glucose rate", **{"mg/dL/min": "1"}),
        **_units("steps", **{"{steps}": "1"}),
        **_units("flights", **{"{flights}": "1"}),
    }
)
"""Codes that values convert between. 1 mm[Hg] is 133.322 Pa: UCUM defines m[Hg] as 133.3220 kPa."""

_WRITTEN: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("lb", "lbs", "pound"), "[lb_av]"),
        "oz": "[oz_av]", "st": "[stone_av]", "gr": "[gr]", "Metric Ton": "t", "Ton": "[ston_av]", "μg": "ug", "µg": "ug",
        "in": "[in_i]", "ft": "[ft_i]", "yd": "[yd_i]", "mi": "[mi_i]",
        **dict.fromkeys(("degF", "F", "°F"), "[degF]"),
        **dict.fromkeys(("degC", "C", "°C"), "Cel"),
        "sec": "s", "hr": "h", "day": "d",
        **dict.fromkeys(("count/min", "beats/min", "breaths/min", "bpm", "BPM", "brpm", "1/min"), "/min"),
        "count/s": "/s",
        **dict.fromkeys(("mmHg", "mm Hg"), "mm[Hg]"),
        "cmH2O": "cm[H2O]", "cmAq": "cm[H2O]",
        "percent": "%",
        **dict.fromkeys(("Cal", "kilocalories", "Calories"), "kcal"),
        **dict.fromkeys(("mg/dl", "mgdL"), "mg/dL"),
        "mmol/l": "mmol/L", "l": "L", "ml": "mL", "l/min": "L/min",
        **dict.fromkeys(("mL/min·kg", "mL/(kg·min)", "mL/kg·min", "ml/kg/min", "mL/(min·kg)"), "mL/kg/min"),
        "kg/m^2": "kg/m2",
        "steps": "{steps}", "step": "{steps}", "flights": "{flights}",
    }
)  # fmt: skip
_MOLAR: Final = re.compile(r"(?P<unit>[mu]?mol)<(?P<mass>\d+(?:\.\d+)?)>/L")
"""HealthKit writes the molar mass into the unit: mmol<180.1558800000541>/L."""


def ucum_code(text: str) -> str | None:
    """UCUM code of a unit as vendors write it; none for one that is not known. A bare count has no code of its own."""
    written = text.strip()
    if written in _UNITS:
        return written
    known = _WRITTEN.get(written)
    if known is not None:
        return known
    molar = _MOLAR.fullmatch(written)
    return f"{molar['unit']}/L" if molar else None


def molar_mass(text: str) -> Decimal | None:
    """Molar mass in g/mol, where a unit's text carries one."""
    molar = _MOLAR.fullmatch(text.strip())
    return Decimal(molar["mass"]) if molar and Decimal(molar["mass"]) > 0 else None


class Conversion(NamedTuple):
    """(value * multiplier + addend) / divisor, in whole numbers: one rounding at most."""

    multiplier: int
    addend: int
    divisor: int

    def apply(self, value: Decimal) -> Decimal:
        """Convert one value; 34 digits."""
        product = _ARITHMETIC.multiply(value, Decimal(self.multiplier))
        return _ARITHMETIC.divide(_ARITHMETIC.add(product, Decimal(self.addend)), Decimal(self.divisor))


@lru_cache(maxsize=512)
def conversion(source: str, target: str, grams_per_mole: Decimal | None = None) -> Conversion:
    """How values in one UCUM unit become values in another.

    Args:
        source: UCUM code that the value is in.
        target: UCUM code that is wanted.
        grams_per_mole: Molar mass, for the way between mass and substance concentrations.

    Raises:
        Incommensurable: The units are not known here, or measure different things.
    """
    if source not in _UNITS or target not in _UNITS:
        raise Incommensurable(f"{source} and {target} are not both known units.")
    have, want = _UNITS[source], _UNITS[target]
    scale = have.factor / want.factor
    if have.dimension != want.dimension:
        scale *= _between(have.dimension, want.dimension, grams_per_mole)
    shift = (have.offset - want.offset) / want.factor
    divisor = scale.denominator * shift.denominator
    return Conversion(int(scale * divisor), int(shift * divisor), divisor)


def _between(have: str, want: str, grams_per_mole: Decimal | None) -> Fraction:
    if grams_per_mole is not None and (have, want) == ("substance concentration", "mass concentration"):
        return Fraction(grams_per_mole)
    if grams_per_mole is not None and (have, want) == ("mass concentration", "substance concentration"):
        return 1 / Fraction(grams_per_mole)
    raise Incommensurable(f"{have} and {want} measure different things.")


def convert(value: Decimal, source: str, target: str, grams_per_mole: Decimal | None = None) -> Decimal:
    """A value in another unit; the very same value, digits and all, where the units are one.

    Raises:
        Incommensurable: The units are not known here, or measure different things.
    """
    return value if source == target else conversion(source, target, grams_per_mole).apply(value)
