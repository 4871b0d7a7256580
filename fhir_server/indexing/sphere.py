"""Places on Earth as points of the unit sphere."""

from __future__ import annotations

from math import cos, radians, sin
from typing import Final

EARTH_M: Final = 6_371_008.8
"""Mean radius, IUGG."""


def on_sphere(latitude: float, longitude: float) -> tuple[float, float, float]:
    """Coordinates of a place given in degrees."""
    phi, theta = radians(latitude), radians(longitude)
    return cos(phi) * cos(theta), cos(phi) * sin(theta), sin(phi)
