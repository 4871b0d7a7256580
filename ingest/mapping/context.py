"""What every mapping needs to know about the message around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ingest.hl7v2.message import Message, Segment
from ingest.hl7v2.problem import DATA_TYPE, Problem
from ingest.hl7v2.timestamps import dtm_to_datetime, dtm_to_instant, zone_of
from ingest.mapping.change import Change, Key
from ingest.mapping.datatypes import clean, problem


@dataclass(slots=True)
class MappingContext:
    """Message under way: collects changes and problems.

    Attributes:
        message: What is being mapped.
        changes: Changes so far, in the order in which they refer to each other.
        problems: Findings so far.
    """

    message: Message
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _by_key: dict[Key, Change] = field(default_factory=dict)

    def about(self, message: Message) -> MappingContext:
        """The same collection, for a part of the message."""
        return MappingContext(message, self.changes, self.problems, self._by_key)

    @property
    def facility(self) -> str:
        """MSH-4.1, or "default"."""
        return clean(self.message.header.value(4)) or "default"

    @property
    def facility_name(self) -> str:
        """MSH-4.1 as a part of a URI."""
        return quote(self.facility, safe="")

    @property
    def source(self) -> str:
        """meta.source of everything that this message writes."""
        return f"urn:chartloop:hl7v2:{self.facility_name}:{quote(self.message.control_id, safe='')}"

    @property
    def zone(self) -> str:
        """Offset of MSH-7, which the other times of the message share; UTC if it has none."""
        return zone_of(self.message.header.value(7)) or "+00:00"

    def add(self, change: Change) -> Change:
        """Append a change, once per key."""
        known = self._by_key.setdefault(change.key, change)
        if known is not change:
            return known
        change.resource["meta"] = {"source": self.source}
        self.changes.append(change)
        return change

    def holds(self, key: Key) -> bool:
        """Whether there is a change of that key already."""
        return key in self._by_key

    def datetime(self, segment: Segment, number: int) -> str:
        """FHIR dateTime at a position; a value that is none is a problem."""
        return self._time(segment, number, dtm_to_datetime(segment.value(number), self.zone))

    def instant(self, segment: Segment, number: int) -> str:
        """FHIR instant at a position; a value that is none is a problem."""
        return self._time(segment, number, dtm_to_instant(segment.value(number), self.zone))

    def event_time(self) -> str:
        """When it happened: EVN-6, EVN-2, MSH-7."""
        event = self.message.first("EVN")
        candidates = [(event, 6), (event, 2)] if event is not None else []
        for segment, number in (*candidates, (self.message.header, 7)):
            value = dtm_to_datetime(segment.value(number), self.zone)
            if value:
                return value
        return ""

    def error(self, text: str, segment: str, occurrence: int, number: int, code: str = DATA_TYPE) -> None:
        """Report something without which the message cannot be mapped."""
        self.problems.append(Problem(code, text, segment, occurrence, number))

    def _time(self, segment: Segment, number: int, value: str) -> str:
        if segment.value(number) and not value:
            self.problems.append(problem(segment, number, f"{segment.name}-{number} is no time stamp"))
        return value


def element(name: str, value: Any) -> dict[str, Any]:
    """One element, or none if it has no value."""
    return {name: value} if value not in ("", None, [], {}) else {}
