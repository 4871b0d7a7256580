"""Implementation guide facts, compiled from their compact notation to a graph that the walker follows.

Notation, one node per line, nesting by indentation:
`loop ID usage max`, `SEG usage max | facts`. A fact names an element or component (`5`, `5-1`) and says
`!` required, `=A,B` required with codes, `?=A,B` codes where present, `@A,B` codes that select this node,
`<20` longest value, `~` required but any fault there is only a warning; `*20` repeats in all.
Segments of one id that stand next to each other (and loops that begin with it) may come in any order.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

_FACT = re.compile(r"(\d+)(?:-(\d+))?(!|=|\?=|@|<|~)(.*)")


class Fact(NamedTuple):
    """What a guide says about one element or component."""

    element: int
    component: int
    required: bool
    codes: frozenset[str]
    longest: int = 0
    tolerated: bool = False


@dataclass(eq=False, slots=True)
class SegmentNode:
    """A segment at its place in a guide."""

    id: str
    required: bool
    repeat: int
    loop: "LoopNode"
    selectors: tuple[Fact, ...] = ()
    facts: tuple[Fact, ...] = ()
    ordinal: int = 0
    moves: "dict[str, tuple[Move, ...]]" = field(default_factory=dict)
    patterns: dict[tuple[str, ...], re.Pattern[str]] = field(default_factory=dict)

    @property
    def first_id(self) -> str:
        """Return the segment id this node begins with."""
        return self.id


@dataclass(eq=False)
class LoopNode:
    """A loop: the first of its nodes is the segment that opens it."""

    id: str
    required: bool
    repeat: int
    parent: "LoopNode | None"
    nodes: "list[SegmentNode | LoopNode]" = field(default_factory=list)
    ordinal: int = 0

    @property
    def first_id(self) -> str:
        """Return the segment id this loop begins with."""
        return self.nodes[0].first_id

    @property
    def opener(self) -> SegmentNode:
        """Return the segment that opens this loop."""
        first = self.nodes[0]
        return first if isinstance(first, SegmentNode) else first.opener

    @cached_property
    def needed(self) -> "tuple[SegmentNode | LoopNode, ...]":
        """Return the nodes that must occur."""
        return tuple(node for node in self.nodes if node.required)


class Move(NamedTuple):
    """One way to place a segment: the node, the loop instances to leave, the loop to open."""

    target: SegmentNode
    leave: int
    opens: LoopNode | None


@dataclass(frozen=True, slots=True)
class Guide:
    """A compiled implementation guide."""

    name: str
    transaction: str
    root: LoopNode


def compile_guide(name: str, transaction: str, text: str) -> Guide:
    """Compile the notation."""
    root: LoopNode | None = None
    stack: list[tuple[int, LoopNode]] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        while stack and stack[-1][0] >= indent:
            stack.pop()
        parent = stack[-1][1] if stack else None
        words = line.partition("|")[0].split()
        if words[0] == "loop":
            loop = LoopNode(words[1], words[2] == "R", int(words[3]), parent)
            stack.append((indent, loop))
            root = root or loop
            if parent is not None:
                parent.nodes.append(loop)
        elif parent is not None:
            parent.nodes.append(_segment(line, parent))
    if root is None:
        raise ValueError(name)
    _order(root)
    return Guide(name, transaction, root)


def _segment(line: str, loop: LoopNode) -> SegmentNode:
    head, _, tail = line.partition("|")
    words = head.split()
    selectors: list[Fact] = []
    facts: list[Fact] = []
    repeat = int(words[2])
    for word in (tail + " " + " ".join(w for w in words[3:])).split():
        if word == "|":
            continue
        if word.startswith("*"):
            repeat = int(word[1:])
            continue
        found = _FACT.fullmatch(word)
        if found is None:
            raise ValueError(line)
        element, component, sign, value = found.groups()
        codes = frozenset(value.split(",")) if sign in ("=", "?=", "@") else frozenset()
        longest = int(value) if sign == "<" else 0
        fact = Fact(int(element), int(component or 0), sign in ("!", "=", "@", "~"), codes, longest, sign == "~")
        (selectors if sign == "@" else facts).append(fact)
    return SegmentNode(words[0], words[1] == "R", repeat, loop, tuple(selectors), tuple(facts))


def _order(loop: LoopNode) -> None:
    """Number the nodes; neighbours that begin with the same segment id share a number."""
    ordinal, previous = 0, ""
    for node in loop.nodes:
        if isinstance(node, LoopNode):
            _order(node)
        ordinal += node.first_id != previous
        previous = node.first_id
        node.ordinal = ordinal


def moves(node: SegmentNode, segment_id: str) -> tuple[Move, ...]:
    """Return the places a segment of this id may take after `node`, nearest first; remembered per node."""
    known = node.moves.get(segment_id)
    if known is not None:
        return known
    found: list[Move] = []
    at: SegmentNode | LoopNode = node
    loop: LoopNode | None = node.loop
    leave = 0
    while loop is not None:
        for child in loop.nodes:
            if child.ordinal < at.ordinal or child.first_id != segment_id:
                continue
            if isinstance(child, LoopNode):
                found.append(Move(child.opener, leave, child))
            elif child is not loop.nodes[0]:
                found.append(Move(child, leave, None))
        at, loop, leave = loop, loop.parent, leave + 1
    if len(node.moves) < 1000:  # hostile ids must not fill memory
        node.moves[segment_id] = tuple(found)
    return tuple(found)
