"""Rules of TA1 and 999: codes of a TA1, counts of a 999.

Spec: https://x12.org/products/technical-reports (ASC X12.5 TA1; 005010X231A1)
"""

from claims.x12.issue import ERROR, WARNING, Position, X12Issue
from claims.x12.segment import Segment
from claims.x12.walker import Loop


def check_interchange_acknowledgment(segment: Segment, interchange: int) -> list[X12Issue]:
    """Check one TA1."""
    found: list[tuple[int, str, str]] = []
    if not (len(segment.get(1)) == 9 and segment.get(1).isdigit()):
        found.append((1, "6", "TA101 is not an interchange control number"))
    if segment.get(4) not in ("A", "E", "R"):
        found.append((4, "7", "TA104 is not A, E or R"))
    if not (len(segment.get(5)) == 3 and segment.get(5).isdigit()):
        found.append((5, "7", "TA105 is not a note code"))
    return [X12Issue(ERROR, 1, code, text, Position(interchange, segment.number, element), "TA1") for element, code, text in found]


def check_functional(root: Loop, interchange: int) -> list[X12Issue]:
    """Check that AK9 counts what the acknowledgment says."""
    tail, sets = root.first("AK9"), root.inner("2000")
    if tail is None or not sets:
        return []
    issues = []
    if tail.get(3) != str(len(sets)) and tail.get(1) in ("R", "P"):
        at = Position(interchange, tail.number, 3)
        issues.append(X12Issue(WARNING, 3, "count", "AK903 is not the number of transaction sets answered", at, "AK9", "HEADER"))
    return issues
