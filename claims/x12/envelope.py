"""The envelope: interchanges, functional groups, transaction sets, their control numbers and counts.

Spec: https://x12.org/products/technical-reports (ASC X12.5, X12.6)
"""

from dataclasses import dataclass, field

from claims.x12.issue import ERROR, Position, X12Issue
from claims.x12.reader import RawInterchange
from claims.x12.segment import Segment


@dataclass(slots=True)
class TransactionSet:
    """ST to SE."""

    identifier: str
    control: str
    version: str
    segments: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """GS to GE."""

    header: Segment | None
    sets: list[TransactionSet] = field(default_factory=list)
    trailer: Segment | None = None


@dataclass(slots=True)
class Interchange:
    """ISA to IEA."""

    index: int
    header: Segment | None
    groups: list[Group] = field(default_factory=list)
    acknowledgments: list[Segment] = field(default_factory=list)
    trailer: Segment | None = None

    @property
    def sender(self) -> str:
        """Return ISA06."""
        return self.header.get(6).strip() if self.header else ""

    @property
    def receiver(self) -> str:
        """Return ISA08."""
        return self.header.get(8).strip() if self.header else ""

    @property
    def control(self) -> str:
        """Return ISA13."""
        return self.header.get(13) if self.header else ""


def interchange_structure(raw: RawInterchange) -> tuple[Interchange, list[X12Issue]]:
    """Group segments into sets and groups; check control numbers and counts."""
    return _Builder(raw).run()


class _Builder:
    def __init__(self, raw: RawInterchange) -> None:
        self.raw = raw
        self.result = Interchange(raw.index, None)
        self.issues: list[X12Issue] = []
        self.group: Group | None = None
        self.set: TransactionSet | None = None

    def run(self) -> tuple[Interchange, list[X12Issue]]:
        handlers = {"ISA": self._isa, "TA1": self._ta1, "GS": self._gs, "ST": self._st, "SE": self._se, "GE": self._ge, "IEA": self._iea}
        for segment in self.raw.segments:
            handler = handlers.get(segment.elements[0])
            if handler is not None:
                handler(segment)
            elif self.set is not None:
                self.set.segments.append(segment)
            else:
                self._error("stray", "segment outside a transaction set", segment, 0, segment.id[:3])
        self._finish()
        return self.result, self.issues

    def _error(self, code: str, text: str, segment: Segment | None, element: int = 0, name: str = "") -> None:
        number = segment.number if segment else len(self.raw.segments)
        self.issues.append(X12Issue(ERROR, 1, code, text, Position(self.raw.index, number, element), name or (segment.id if segment else "")))

    def _isa(self, segment: Segment) -> None:
        self.result.header = segment
        for element, codes in ((15, "PT"), (14, "01")):
            if segment.get(element) not in codes:
                self._error("7", f"ISA{element} is not a code of the standard", segment, element)
        if not segment.get(13).isdigit():
            self._error("6", "ISA13 is not a nine-digit number", segment, 13)
        if segment.get(12) != "00501":
            self._error("version", "ISA12 is not 00501", segment, 12)

    def _ta1(self, segment: Segment) -> None:
        self.result.acknowledgments.append(segment)

    def _gs(self, segment: Segment) -> None:
        self._close_set(segment)
        self._close_group(segment)
        self.group = Group(segment)
        self.result.groups.append(self.group)
        for element in range(1, 9):
            if not segment.get(element):
                self._error("1", f"GS{element:02} is required and missing", segment, element)
        if any(group.header is not None and group.header.get(6) == segment.get(6) for group in self.result.groups[-50:-1]):
            self._error("duplicate-group", "GS06 is used twice in one interchange", segment, 6)

    def _st(self, segment: Segment) -> None:
        self._close_set(segment)
        if self.group is None:
            if not self.raw.bare:
                self._error("no-group", "ST outside a functional group", segment)
            self.group = Group(None)
            self.result.groups.append(self.group)
        version = segment.get(3) or (self.group.header.get(8) if self.group.header else "")
        self.set = TransactionSet(segment.get(1), segment.get(2), version, [segment])
        self.group.sets.append(self.set)

    def _se(self, segment: Segment) -> None:
        if self.set is None:
            self._error("stray", "SE without ST", segment)
            return
        self.set.segments.append(segment)
        self._counted(segment, len(self.set.segments), "SE01", "segments")
        if segment.get(2) != self.set.control:
            self._error("control", "SE02 differs from ST02", segment, 2)
        self.set = None

    def _ge(self, segment: Segment) -> None:
        self._close_set(segment)
        if self.group is None or self.group.header is None:
            self._error("stray", "GE without GS", segment)
            return
        self.group.trailer = segment
        self._counted(segment, len(self.group.sets), "GE01", "transaction sets")
        if segment.get(2) != self.group.header.get(6):
            self._error("control", "GE02 differs from GS06", segment, 2)
        self.group = None

    def _iea(self, segment: Segment) -> None:
        self._close_set(segment)
        self._close_group(segment)
        self.result.trailer = segment
        self._counted(segment, len(self.result.groups), "IEA01", "functional groups")
        if segment.get(2) != self.result.control:
            self._error("control", "IEA02 differs from ISA13", segment, 2)

    def _counted(self, segment: Segment, count: int, name: str, what: str) -> None:
        stated = segment.get(1)
        if not (stated.isascii() and stated.isdigit() and len(stated) <= 10 and int(stated) == count):
            self._error("count", f"{name} is wrong: there are {count} {what}", segment, 1)

    def _close_set(self, segment: Segment | None) -> None:
        if self.set is not None:
            self._error("no-se", "transaction set without SE", segment, 0, "SE")
            self.set = None

    def _close_group(self, segment: Segment | None) -> None:
        if self.group is not None and self.group.header is not None:
            self._error("no-ge", "functional group without GE", segment, 0, "GE")
        self.group = None

    def _finish(self) -> None:
        self._close_set(None)
        self._close_group(None)
        if not self.raw.bare and self.result.trailer is None:
            self._error("no-iea", "interchange without IEA", None, 0, "IEA")
