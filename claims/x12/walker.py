"""Follow one transaction set through its guide: a tree of loops, and what does not fit."""

from dataclasses import dataclass, field

from claims.x12.dictionary import SEGMENTS
from claims.x12.elements import check_elements
from claims.x12.guide import Guide, LoopNode, Move, SegmentNode, moves
from claims.x12.issue import ERROR, Position, X12Issue
from claims.x12.segment import Segment

MAX_ISSUES = 1000


@dataclass(eq=False, slots=True)
class Loop:
    """One occurrence of a loop with its segments and inner loops in order."""

    id: str
    node: LoopNode
    segments: list[Segment] = field(default_factory=list)
    loops: "list[Loop]" = field(default_factory=list)
    counts: dict[object, int] = field(default_factory=dict)

    def first(self, segment_id: str, *qualifiers: str) -> Segment | None:
        """Return the first segment of this id, with one of these first elements where given."""
        for segment in self.segments:
            if segment.id == segment_id and (not qualifiers or segment.get(1) in qualifiers):
                return segment
        return None

    def all(self, segment_id: str, *qualifiers: str) -> list[Segment]:
        """Return every segment of this id, with one of these first elements where given."""
        return [s for s in self.segments if s.id == segment_id and (not qualifiers or s.get(1) in qualifiers)]

    def inner(self, *loop_ids: str) -> "list[Loop]":
        """Return the inner loops of these ids."""
        return [loop for loop in self.loops if loop.id in loop_ids]

    def value(self, segment_id: str, element: int, *qualifiers: str) -> str:
        """Return an element of the first such segment, empty where absent."""
        found = self.first(segment_id, *qualifiers)
        return found.get(element) if found else ""


def walk(segments: list[Segment], guide: Guide, interchange: int) -> tuple[Loop, list[X12Issue]]:
    """Place every segment (ST to SE) in the guide; never raises."""
    return _Walk(guide, interchange).run(segments)


class _Walk:
    def __init__(self, guide: Guide, interchange: int) -> None:
        self.guide, self.interchange = guide, interchange
        self.root = Loop(guide.root.id, guide.root)
        self.stack = [self.root]
        self.issues: list[X12Issue] = []
        self.last = 0

    def run(self, segments: list[Segment]) -> tuple[Loop, list[X12Issue]]:
        at = self.guide.root.opener
        for index, segment in enumerate(segments):
            self.last = segment.number
            if len(self.issues) > MAX_ISSUES:
                break
            if index == 0 and segment.id == "ST":
                self._place(segment, at)
                continue
            found = self._choose(segment, moves(at, segment.elements[0]))
            if found is not None:
                at = self._enter(segment, found)
        while self.stack:
            self._close()
        return self.root, self.issues

    def _choose(self, segment: Segment, options: tuple[Move, ...]) -> Move | None:
        for option in options:
            for rule in option.target.selectors:
                if segment.get(rule.element, rule.component) not in rule.codes:
                    break
            else:
                return option
        if options:
            rule = options[0].target.selectors[0]
            self._add(2, "7", "the qualifier is not one the guide allows here", segment.number, segment.id, rule.element, rule.component)
        elif segment.elements[0] in SEGMENTS:
            self._add(1, "2", "segment is not expected here", segment.number, segment.id)
        else:
            self._add(1, "1", "unknown segment", segment.number, segment.id[:3])
        self.stack[-1].segments.append(segment)
        return None

    def _enter(self, segment: Segment, move: Move) -> SegmentNode:
        for _ in range(move.leave):
            self._close()
        if move.opens is not None:
            outer = self.stack[-1]
            inner = Loop(move.opens.id, move.opens)
            outer.loops.append(inner)
            self._count(outer, move.opens, "4", "loop occurs too often", segment)
            self.stack.append(inner)
        self._place(segment, move.target)
        return move.target

    def _place(self, segment: Segment, node: SegmentNode) -> None:
        loop = self.stack[-1]
        loop.segments.append(segment)
        self._count(loop, node, "5", "segment occurs too often", segment)
        found = check_elements(segment, node, self.interchange)
        if found:
            self.issues += found

    def _count(self, loop: Loop, node: SegmentNode | LoopNode, code: str, text: str, segment: Segment) -> None:
        count = loop.counts.get(node, 0) + 1
        loop.counts[node] = count
        if count == node.repeat + 1:
            self._add(2, code, text, segment.number, segment.id)

    def _close(self) -> None:
        loop = self.stack.pop()
        for node in loop.node.needed:
            if node not in loop.counts:
                if isinstance(node, LoopNode):
                    self._add(2, "3", f"required loop {node.id} is missing", self.last, node.first_id, loop=loop.id)
                else:
                    which = "*" + min(node.selectors[0].codes) if node.selectors else ""
                    self._add(2, "3", f"required segment {node.id}{which} is missing", self.last, node.id, loop=loop.id)

    def _add(self, snip: int, code: str, text: str, number: int, name: str, element: int = 0, component: int = 0, loop: str = "") -> None:
        at = Position(self.interchange, number, element, component)
        inside = loop or (self.stack[-1].id if self.stack else "")
        self.issues.append(X12Issue(ERROR, snip, code, text, at, name, inside))
