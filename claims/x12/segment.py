"""One X12 segment, kept so that it can be written back byte for byte."""

from dataclasses import dataclass
from typing import NamedTuple


class Delimiters(NamedTuple):
    """The separators one interchange declares in its own ISA."""

    element: str = "*"
    component: str = ":"
    repetition: str = "^"
    terminator: str = "~"

    def problem(self) -> str:
        """Say why these cannot be delimiters, or return an empty text."""
        if len({self.element, self.component, self.terminator}) != 3:
            return "element, component and segment separators must differ"
        if any(c.isalnum() or c == " " for c in (self.element, self.component, self.terminator)):
            return "a letter, digit or space cannot be a separator"
        return ""


@dataclass(slots=True)
class Segment:
    """A segment: `elements[0]` is its id, `lead` the line breaks that stood before it."""

    elements: list[str]
    delimiters: Delimiters
    number: int = 0
    lead: str = ""
    closed: bool = True

    @property
    def id(self) -> str:
        """Return the segment id."""
        return self.elements[0]

    def get(self, element: int, component: int = 0) -> str:
        """Return an element (1-based) or one of its components (1-based), empty where absent."""
        if element >= len(self.elements):
            return ""
        value = self.elements[element]
        if not component:
            return value
        parts = value.split(self.delimiters.component)
        return parts[component - 1] if component <= len(parts) else ""

    def parts(self, element: int) -> list[str]:
        """Return all components of an element."""
        value = self.get(element)
        return value.split(self.delimiters.component) if value else []

    def text(self) -> str:
        """Return the segment exactly as it stood."""
        end = self.delimiters.terminator if self.closed else ""
        return self.lead + self.delimiters.element.join(self.elements) + end
