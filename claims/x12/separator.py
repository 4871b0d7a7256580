"""Notice an interchange whose composites are not written with the separator its ISA16 declares.

Seen in the field: ISA16 says ":" and every composite is written "HC>99213". Reading it as declared would lose every code.
"""

import re

from claims.x12.issue import WARNING, Position, X12Issue
from claims.x12.reader import RawInterchange
from claims.x12.segment import Delimiters

_COMPOSITES = {"SV1": 1, "SVC": 1, "CLM": 5, "HI": 1, "STC": 1, "SV5": 1, "SVD": 3}
_USED = re.compile(r"[A-Z0-9]{1,3}([>:|<\\!;])")
_LOOK_AT = 5000


def use_actual_separator(raw: RawInterchange) -> list[X12Issue]:
    """Replace the component separator where every composite uses one other; say so."""
    declared, seen = raw.delimiters.component, set()
    for segment in raw.segments[:_LOOK_AT]:
        element = _COMPOSITES.get(segment.elements[0])
        value = segment.get(element) if element else ""
        if declared in value:
            return []
        found = _USED.match(value)
        if found:
            seen.add(found.group(1))
    if len(seen) != 1 or seen & set(raw.delimiters):
        return []
    actual = seen.pop()
    raw.delimiters = Delimiters(raw.delimiters.element, actual, raw.delimiters.repetition, raw.delimiters.terminator)
    for segment in raw.segments:
        segment.delimiters = raw.delimiters
    text = "composites are written with another separator than ISA16 declares; read with the one in use"
    return [X12Issue(WARNING, 1, "separator", text, Position(raw.index, 1, 16), "ISA")]
