"""The segments of one order and its results, as an ORU groups them.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch07.html (ORU^R01, ORDER_OBSERVATION)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.hl7v2.message import Message, Segment
from ingest.mapping.datatypes import clean

TEXT_TYPES = frozenset({"TX", "FT"})


@dataclass(slots=True)
class Result:
    """One OBX, those that continue its text line by line, and the notes behind them."""

    obx: Segment
    notes: list[Segment] = field(default_factory=list)
    continued: list[Segment] = field(default_factory=list)

    def takes(self, segment: Segment) -> bool:
        """Whether a segment is the next line of this text: the same observation, sub-id, state and time, and no note in between."""
        if self.notes or self.obx.value(2) not in TEXT_TYPES or segment.value(2) not in TEXT_TYPES:
            return False
        return all(self.obx.field(number) == segment.field(number) for number in (3, 4, 11, 14))


@dataclass(slots=True)
class Order:
    """One OBR with what belongs to it; results that stand in front of any OBR have none."""

    request: Segment | None = None
    control: Segment | None = None
    notes: list[Segment] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    specimens: list[Segment] = field(default_factory=list)

    @property
    def section(self) -> str:
        """OBR-24, the diagnostic section."""
        return clean(self.request.value(24)).upper() if self.request is not None else ""


@dataclass(slots=True)
class PatientResults:
    """One PID with its orders."""

    message: Message
    orders: list[Order] = field(default_factory=list)
    notes: list[Segment] = field(default_factory=list)


def patients_of(message: Message) -> list[PatientResults]:
    """The patients of a message: each as a message of its own, with the header and the segments from its PID to the next."""
    starts = [index for index, segment in enumerate(message.segments) if segment.name == "PID"]
    if len(starts) < 2:
        return [_grouped(message)]
    ends = [*starts[1:], len(message.segments)]
    head = message.segments[: starts[0]]
    return [_grouped(message.part([*head, *message.segments[start:end]])) for start, end in zip(starts, ends, strict=True)]


def _grouped(message: Message) -> PatientResults:
    found = PatientResults(message)
    order, control, notes = Order(), None, found.notes
    for segment in message.segments:
        if segment.name == "ORC":
            control, notes = segment, []
        elif segment.name == "OBR":
            order = Order(segment, control, notes if control is not None else [])
            control, notes = None, order.notes
            found.orders.append(order)
        elif segment.name == "OBX":
            if order.request is None and not order.results:
                found.orders.append(order)
            notes = _add_result(order, segment)
        elif segment.name == "SPM":
            order.specimens.append(segment)
            notes = order.notes
        elif segment.name == "NTE":
            notes.append(segment)
    return found


def _add_result(order: Order, segment: Segment) -> list[Segment]:
    """Add an OBX; give the list that its notes go to."""
    if order.results and order.results[-1].takes(segment):
        order.results[-1].continued.append(segment)
    else:
        order.results.append(Result(segment))
    return order.results[-1].notes
