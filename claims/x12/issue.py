"""A finding about an X12 interchange: what is wrong, how bad, and exactly where."""

from typing import NamedTuple

ERROR = "error"
WARNING = "warning"


class Position(NamedTuple):
    """Where, 1-based; 0 means the whole of the level above. The ISA is segment 1 of its interchange."""

    interchange: int = 0
    segment: int = 0
    element: int = 0
    component: int = 0

    def __str__(self) -> str:
        """Say it for people: interchange 1, segment 12, element 5-1."""
        text = f"interchange {self.interchange}, segment {self.segment}"
        if self.element:
            text += f", element {self.element}"
        if self.component:
            text += f"-{self.component}"
        return text


class X12Issue(NamedTuple):
    """One finding. `text` never holds a value from the interchange: values are patient data."""

    severity: str
    snip: int
    code: str
    text: str
    at: Position
    segment: str = ""
    loop: str = ""

    def __str__(self) -> str:
        """Say it for people."""
        where = f"{self.loop} " if self.loop else ""
        return f"{self.severity} (SNIP {self.snip}) {where}{self.segment} at {self.at}: {self.text}"


def errors(issues: list[X12Issue] | tuple[X12Issue, ...]) -> list[X12Issue]:
    """Return the findings that make an interchange unacceptable."""
    return [issue for issue in issues if issue.severity == ERROR]
