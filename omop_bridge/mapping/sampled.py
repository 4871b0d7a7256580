"""A block of samples as one number: the series itself stays in the chart.

A rate (heart rate, glucose) is averaged; what counts up (steps, energy) is added up.

Spec: https://hl7.org/fhir/R4/datatypes.html#SampledData
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

_PLACES = 6


class Summary(NamedTuple):
    """A number, and in words what it is."""

    number: float
    text: str


def sampled_summary(data: Mapping[str, Any], *, total: bool) -> Summary | None:
    """Summarise one-dimensional samples; E, U and L (no value, below, above) do not count. None where no sample is left."""
    if data.get("dimensions", 1) != 1:
        return None
    origin = Decimal((data.get("origin") or {}).get("value", 0))
    factor = Decimal(data.get("factor", 1))
    samples = [origin + factor * sample for sample in map(_sample, str(data.get("data", "")).split()) if sample is not None]
    if not samples:
        return None
    whole = sum(samples, Decimal(0))
    number = whole if total else whole / len(samples)
    return Summary(round(float(number), _PLACES), f"{'sum' if total else 'mean'} of {len(samples)} samples")


def _sample(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
