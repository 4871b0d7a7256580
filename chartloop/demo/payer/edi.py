"""Split an X12 interchange into segments, trusting nothing that its sender says about it."""

from __future__ import annotations

from dataclasses import dataclass

ISA_LENGTH = 106


class Unreadable(Exception):
    """The bytes do not begin with a whole ISA segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    tag: str
    elements: tuple[str, ...]

    def at(self, position: int) -> str:
        """Element by its X12 position, 1-based; an absent one is empty."""
        return self.elements[position - 1] if 0 < position <= len(self.elements) else ""


@dataclass(frozen=True, slots=True)
class Interchange:
    segments: tuple[Segment, ...]
    component: str

    @property
    def isa(self) -> Segment:
        return self.segments[0]


def split(body: bytes) -> Interchange:
    """Cut an interchange at the delimiters its own ISA declares: element at byte 3, component at 104, terminator at 105."""
    text = body.decode("utf-8", errors="replace").lstrip()
    if not text.startswith("ISA") or len(text) < ISA_LENGTH:
        raise Unreadable
    element, component, terminator = text[3], text[104], text[105]
    segments = []
    for raw in text.split(terminator):
        parts = raw.strip("\r\n ").split(element)
        if parts[0]:
            segments.append(Segment(parts[0], tuple(parts[1:])))
    return Interchange(tuple(segments), component)
