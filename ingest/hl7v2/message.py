"""One message, read lazily: segments are split once, fields on first touch, components on demand.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading9 (message construction)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.hl7v2.escapes import decode_escapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.hl7v2.separators import Separators

NULL = '""'


class Repetition:
    """One repetition of a field: a data type's components, numbered from 1."""

    __slots__ = ("_components", "_separators", "raw")

    def __init__(self, raw: str, separators: Separators) -> None:
        """Keep the raw text; nothing is split yet."""
        self.raw = raw
        self._separators = separators
        self._components: list[str] | None = None

    def part(self, component: int) -> str:
        """Raw text of one component, empty if absent."""
        if self._components is None:
            self._components = self.raw.split(self._separators.component)
        return self._components[component - 1] if component <= len(self._components) else ""

    def value(self, component: int = 1, subcomponent: int = 1) -> str:
        """Decoded text of one subcomponent; empty if absent or the HL7 null."""
        raw = self.part(component)
        if self._separators.subcomponent in raw:
            parts = raw.split(self._separators.subcomponent)
            raw = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent > 1:
            return ""
        return "" if raw == NULL else decode_escapes(raw, self._separators)

    def text(self) -> str:
        """The whole repetition as text: for ST, TX and FT, whose separators are only characters."""
        return "" if self.raw == NULL else decode_escapes(self.raw, self._separators)

    @property
    def is_null(self) -> bool:
        """Whether the sender asks to delete the value."""
        return self.raw == NULL

    def __bool__(self) -> bool:
        """Whether any component carries a value."""
        return bool(self.raw.strip(self._separators.component + self._separators.subcomponent + ' "'))


class Segment:
    """One segment: its name, which occurrence of that name it is, and its fields by their HL7 numbers."""

    __slots__ = ("_fields", "_separators", "name", "occurrence", "raw")

    def __init__(self, raw: str, separators: Separators, occurrence: int) -> None:
        """Keep the raw text; fields are split on first touch."""
        self.raw = raw
        self.name = raw[:3]
        self.occurrence = occurrence
        self._separators = separators
        self._fields: list[str] | None = None

    def field(self, number: int) -> str:
        """Raw text of one field; MSH-1 is the field separator itself."""
        fields = self._fields
        if fields is None:
            fields = self.raw.split(self._separators.field)
            if self.name in _HEADERS:
                fields.insert(1, self._separators.field)
            self._fields = fields
        return fields[number] if number < len(fields) else ""

    def repetitions(self, number: int) -> list[Repetition]:
        """Repetitions of a field; none if the field is empty."""
        raw = self.field(number)
        if not raw:
            return []
        if self._separators.repetition not in raw:
            return [Repetition(raw, self._separators)]
        return [Repetition(part, self._separators) for part in raw.split(self._separators.repetition)]

    def first(self, number: int) -> Repetition:
        """First repetition of a field, empty if absent."""
        raw = self.field(number)
        if self._separators.repetition in raw:
            raw = raw.split(self._separators.repetition, 1)[0]
        return Repetition(raw, self._separators)

    def value(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """Decoded text at a position of the first repetition; empty if absent or the HL7 null."""
        if not self.field(number):
            return ""
        return self.first(number).value(component, subcomponent)

    def is_null(self, number: int) -> bool:
        """Whether the field is the HL7 null, which deletes; an empty field keeps."""
        return self.field(number) == NULL

    def __len__(self) -> int:
        """How many fields the segment has."""
        self.field(0)
        return len(self._fields or ()) - 1


class Message:
    """Segments in their order, with the positions of MSH that everybody asks for."""

    __slots__ = ("codec", "segments", "separators")

    def __init__(self, lines: list[str], separators: Separators, codec: str) -> None:
        """Index the lines of a message; the first one is its MSH."""
        self.separators = separators
        self.codec = codec
        counts: dict[str, int] = {}
        segments: list[Segment] = []
        for line in lines:
            name = line[:3]
            count = counts.get(name, 0) + 1
            counts[name] = count
            segments.append(Segment(line, separators, count))
        self.segments = segments

    def part(self, segments: list[Segment]) -> Message:
        """A message of some of these segments, which keep their occurrence; the first one is the header."""
        part = Message([], self.separators, self.codec)
        part.segments = segments
        return part

    def first(self, name: str) -> Segment | None:
        """First segment of that name."""
        for segment in self.segments:
            if segment.name == name:
                return segment
        return None

    def all(self, name: str) -> list[Segment]:
        """Every segment of that name."""
        return [segment for segment in self.segments if segment.name == name]

    def after(self, start: Segment, names: frozenset[str], until: frozenset[str]) -> Iterator[Segment]:
        """Segments of those names that follow `start`, up to one that opens another group."""
        following = False
        for segment in self.segments:
            if following and segment.name in until:
                return
            if following and segment.name in names:
                yield segment
            following = following or segment is start

    def value(self, name: str, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """Decoded text at a position of the first segment of that name."""
        segment = self.first(name)
        return "" if segment is None else segment.value(number, component, subcomponent)

    @property
    def header(self) -> Segment:
        """The MSH segment."""
        return self.segments[0]

    @property
    def type(self) -> str:
        """MSH-9.1, the message code."""
        return self.header.value(9)

    @property
    def trigger(self) -> str:
        """MSH-9.2, the trigger event, or EVN-1 where an old sender leaves it out."""
        return self.header.value(9, 2) or self.value("EVN", 1)

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.first(10).text()

    def encode(self) -> str:
        """The message as text, segments ended by carriage returns."""
        return "".join(f"{segment.raw}\r" for segment in self.segments)


_HEADERS = frozenset({"MSH", "FHS", "BHS"})
