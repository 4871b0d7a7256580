"""Hierarchical levels: HL01 counts up, HL02 names the parent, HL04 says whether children follow.

Spec: https://x12.org/products/technical-reports (ASC X12, segment HL)
"""

from claims.x12.issue import ERROR, Position, X12Issue
from claims.x12.segment import Segment
from claims.x12.walker import Loop


def check_hierarchy(root: Loop, interchange: int) -> list[X12Issue]:
    """Check every HL of a transaction set against the tree its levels form."""
    issues: list[X12Issue] = []
    expected = 0
    stack: list[tuple[Loop, str]] = [(root, "")]
    while stack:
        loop, parent = stack.pop()
        level = loop.segments[0] if loop.segments and loop.segments[0].id == "HL" else None
        if level is not None:
            expected += 1
            children = any(inner.segments and inner.segments[0].id == "HL" for inner in loop.loops)
            issues += _level(level, expected, parent, children, loop.id, interchange)
            parent = level.get(1)
        stack.extend((inner, parent) for inner in reversed(loop.loops))
    return issues


def _level(level: Segment, expected: int, parent: str, children: bool, loop: str, interchange: int) -> list[X12Issue]:
    found: list[tuple[int, str]] = []
    if level.get(1) != str(expected):
        found.append((1, "HL01 does not count up by one"))
    if level.get(2) != parent:
        found.append((2, "HL02 does not name the level above"))
    if level.get(4) == "1" and not children:
        found.append((4, "HL04 announces a child level that does not come"))
    if level.get(4) == "0" and children:
        found.append((4, "HL04 says no child level, yet one follows"))
    return [X12Issue(ERROR, 4, "hierarchy", text, Position(interchange, level.number, element), "HL", loop) for element, text in found]
