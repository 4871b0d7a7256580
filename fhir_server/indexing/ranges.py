"""How a number or quantity that is a range lies in an index that is ordered by its low end.

A point is one row. A range has a second row with its ends exchanged, so that everything that reaches above a number
begins above it: `gt` is a walk from one place of the index, whatever is stored. Only that second row has its high end below its low.
"""

from __future__ import annotations


def ends(low: float, high: float) -> tuple[tuple[float, float], ...]:
    """Ends of a value, as rows."""
    return ((low, high),) if low == high else ((low, high), (high, low))
