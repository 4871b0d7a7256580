"""Sums, products and quotients of quantities; UCUM terms as powers of units that convert.

Spec: http://hl7.org/fhirpath/N1/#math
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from fhir_server.fhirpath.quantity import Quantity
from terminology.ucum import Incommensurable, convert

_FACTOR: Final = re.compile(r"(?P<unit>[^./\d]+|\[[^\]]*\]|[^./]*[^./\d+-])(?P<power>[+-]?\d+)?")
_BASES: Final = ("g", "m", "s", "K", "Pa", "J", "L")
_MAX_POWER: Final = 12


def total(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """Sum or difference in the unit of the left one; none where the units do not compare."""
    try:
        return left._replace(value=left.value + sign * convert(right.value, right.code, left.code))
    except Incommensurable:
        return None


def product(left: Quantity, right: Quantity) -> Quantity | None:
    """Product, in base units."""
    return _combined(left, right, 1)


def quotient(left: Quantity, right: Quantity) -> Quantity | None:
    """Quotient, in base units; none for a division by zero."""
    return _combined(left, right, -1) if right.value else None


def _combined(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    one, other = _reduced(left), _reduced(right)
    if one is None or other is None:
        return None
    powers = {base: one[1].get(base, 0) + sign * other[1].get(base, 0) for base in (*one[1], *other[1])}
    value = one[0] * other[0] if sign > 0 else one[0] / other[0]
    return Quantity(value, _written(powers))


def _written(powers: dict[str, int]) -> str:
    above = [base + (str(power) if power > 1 else "") for base, power in sorted(powers.items()) if power > 0]
    below = [f"/{base}{-power if power < -1 else ''}" for base, power in sorted(powers.items()) if power < 0]
    return (".".join(above) + "".join(below)) or "1"


def _reduced(quantity: Quantity) -> tuple[Decimal, dict[str, int]] | None:
    """The value in base units, and their powers."""
    value = quantity.value
    powers: dict[str, int] = {}
    for index, term in enumerate(quantity.code.split("/")):
        for text in term.split("."):
            if text in ("", "1"):
                continue
            found = _FACTOR.fullmatch(text)
            if found is None:
                return None
            power = int(found["power"] or 1) * (-1 if index else 1)
            based = _based(found["unit"])
            if based is None or abs(power) > _MAX_POWER:
                return None
            value = value * based[0] ** power if power > 0 else value / based[0] ** -power
            powers[based[1]] = powers.get(based[1], 0) + power
    return value, powers


def _based(unit: str) -> tuple[Decimal, str] | None:
    for base in _BASES:
        try:
            return convert(Decimal(1), unit, base), base
        except Incommensurable:
            continue
    return None


def reduced(quantity: Quantity) -> Quantity | None:
    """A quantity in base units; none where a unit is not known."""
    found = _reduced(quantity)
    return None if found is None else Quantity(found[0], _written(found[1]))
