"""`near` of Location: within a distance of a point on the sphere.

Positions are indexed as points of the unit sphere, by the height of their latitude: a search walks the belt of its latitudes
and compares straight distances, so that neither the date line nor the poles are special. Without a distance 10 km are near.
Spec: https://hl7.org/fhir/R4/location.html#search
"""

from __future__ import annotations

from decimal import Decimal
from math import degrees, radians, sin
from typing import Final, NamedTuple

from fhir_server.indexing.sphere import EARTH_M, on_sphere
from terminology.ucum_code import canonical

DEFAULT_M: Final = 10_000.0
_HALF_WAY_ROUND: Final = 180.0


class Near(NamedTuple):
    """A point of the unit sphere, the square of the longest straight distance, and the belt that holds all within it."""

    x: float
    y: float
    z: float
    square: float
    lowest: float
    highest: float


def near(parts: list[str]) -> Near | None:
    """Read `latitude|longitude[|distance[|units]]`; units are UCUM lengths, kilometres without any."""
    if len(parts) not in (2, 3, 4):
        return None
    numbers = [_number(part) for part in parts[:3]]
    if numbers[0] is None or numbers[1] is None or abs(numbers[0]) > 90 or abs(numbers[1]) > _HALF_WAY_ROUND:
        return None
    metres = _metres(*parts[2:])
    return None if metres is None else _near(numbers[0], numbers[1], metres)


def _near(latitude: float, longitude: float, metres: float) -> Near:
    angle = min(degrees(metres / EARTH_M), _HALF_WAY_ROUND)
    lowest = -1.0 if latitude - angle <= -90 else sin(radians(latitude - angle))
    highest = 1.0 if latitude + angle >= 90 else sin(radians(latitude + angle))
    margin = 1e-12
    return Near(*on_sphere(latitude, longitude), (2 * sin(radians(angle) / 2)) ** 2, lowest - margin, highest + margin)


def within(value: Near, alias: str) -> tuple[str, tuple[object, ...]]:
    """Write what must hold of one row of the position index."""
    square = " + ".join(f"({alias}.{axis} - ?) * ({alias}.{axis} - ?)" for axis in "xyz")
    return (
        f"({alias}.z >= ? AND {alias}.z <= ? AND {square} <= ?)",
        (value.lowest, value.highest, value.x, value.x, value.y, value.y, value.z, value.z, value.square),
    )


def _metres(distance: str = "", unit: str = "") -> float | None:
    number = _number(distance) if distance else None
    if not distance:
        return DEFAULT_M
    form = canonical(unit or "km")
    if number is None or number < 0 or form is None or form.dimension != "m":
        return None
    return number * float(form.scale)


def _number(text: str) -> float | None:
    """Read a plain decimal."""
    try:
        value = Decimal(text) if text.isascii() and not text[:1].isspace() and "_" not in text and not text[-1:].isspace() else None
    except ArithmeticError:
        return None
    return float(value) if value is not None and value.is_finite() and abs(value) < 10**9 else None
