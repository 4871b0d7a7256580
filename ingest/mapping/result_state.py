"""How far a result has come: statements about one result in an order that does not depend on when they arrive.

A statement of a finished state (final, amended, corrected, entered in error) stands above every unfinished one; of two of the same kind
the newer stands above the older, and at the same moment the further one.

Spec: https://hl7.org/fhir/R4/valueset-observation-status.html, https://hl7.org/fhir/R4/valueset-diagnostic-report-status.html
"""

from __future__ import annotations

from typing import NamedTuple

from ingest.hl7v2.problem import Problem

FINAL = "final"
_UNFINISHED = ("unknown", "registered", "partial", "preliminary", "cancelled")
_FINISHED = (FINAL, "appended", "amended", "corrected", "entered-in-error")
_STATES = _UNFINISHED + _FINISHED
_CODES = {status: code for code, status in enumerate(_STATES)}
_CODE_BITS = 4
_FINISHED_BIT = 1 << 61
_CORRECTIONS = frozenset({"appended", "amended", "corrected"})


class Statement(NamedTuple):
    """What one segment says about the state of one result.

    Attributes:
        status: FHIR status.
        content: Whether the segment carries the result; if not (OBX-11 U, D, W) it changes only the state of what is known.
        segment: Name of the segment, and in `occurrence` and `field` where it says so.
        occurrence: Which segment of that name.
        field: The field.
        wipes: Whether what the segment carries may stand in for a stored result that cannot be read (it is withdrawn anyway).
    """

    status: str
    content: bool
    segment: str
    occurrence: int
    field: int
    wipes: bool = False

    def problem(self, text: str) -> Problem:
        """A warning at this position."""
        return Problem("103", text, self.segment, self.occurrence, self.field, severity="W")


def rank(status: str, event: int) -> int:
    """Place of a statement made at a time (microseconds since 1970): the highest rank is what holds."""
    code = _CODES[status]
    return (_FINISHED_BIT if status in _FINISHED else 0) | max(event, 0) << _CODE_BITS | code


def rank_status(value: int) -> str:
    """Status of a rank."""
    return _STATES[value & (1 << _CODE_BITS) - 1]


def rank_event(value: int) -> int:
    """Time of a rank."""
    return (value & ~_FINISHED_BIT) >> _CODE_BITS


def less_finished(status: str, other: str) -> str:
    """The status of two parts of one result: that of the part which has come less far."""
    return min(status, other, key=_CODES.__getitem__)


def is_finished(status: str) -> bool:
    """Whether a result in this state is no longer expected to change."""
    return status in _FINISHED


def is_correction(status: str) -> bool:
    """Whether a final result was changed."""
    return status in _CORRECTIONS


def correction_code(status: str) -> int:
    """Number under which a correction is remembered; the highest is the strongest."""
    return _CODES[status]


def correction_status(code: int) -> str:
    """The status of such a number."""
    return _STATES[code]
