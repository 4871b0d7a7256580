"""Which messages are taken, and what each must carry before it may be acknowledged.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading30 (acknowledgments: message type, version and processing id are checked first)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ingest.hl7v2.problem import (
    REQUIRED_FIELD,
    SEGMENT_SEQUENCE,
    UNSUPPORTED_EVENT,
    UNSUPPORTED_MESSAGE,
    UNSUPPORTED_PROCESSING_ID,
    UNSUPPORTED_VERSION,
    Problem,
)

if TYPE_CHECKING:
    from ingest.hl7v2.message import Message

VERSIONS = frozenset({"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9", "2.9.1"})
PROCESSING_IDS = frozenset({"P", "T", "D"})


class Structure(NamedTuple):
    """Segments that a trigger event needs here, and those the standard asks for that can be done without."""

    required: tuple[str, ...]
    expected: tuple[str, ...] = ("EVN",)


_VISIT = Structure(("PID", "PV1"))
_DOCUMENT = Structure(("PID", "TXA", "OBX"), ("EVN", "PV1"))
_DOCUMENT_STATUS = Structure(("PID", "TXA"), ("EVN", "PV1"))
STRUCTURES: dict[tuple[str, str], Structure] = {
    ("ADT", "A01"): _VISIT,
    ("ADT", "A03"): _VISIT,
    ("ADT", "A04"): _VISIT,
    ("ADT", "A08"): Structure(("PID",), ("EVN", "PV1")),
    ("DFT", "P03"): Structure(("PID", "FT1"), ("EVN", "PV1")),
    ("ORU", "R01"): Structure(("PID", "OBR"), ()),
    ("MDM", "T02"): _DOCUMENT,
    ("MDM", "T04"): _DOCUMENT,
    ("MDM", "T08"): _DOCUMENT,
    ("MDM", "T10"): _DOCUMENT,
    ("MDM", "T11"): _DOCUMENT_STATUS,
}
_TYPES = frozenset(type_ for type_, _ in STRUCTURES)


def check(message: Message) -> tuple[Problem, ...]:
    """Every structural finding: header first, then segments, then what identifies the patient."""
    problems = [*_header(message)]
    structure = STRUCTURES.get((message.type, message.trigger))
    if structure is None:
        return (*problems, _unsupported(message))
    present = {segment.name for segment in message.segments}
    problems += [_missing(name, "E") for name in structure.required if name not in present]
    problems += [_missing(name, "W") for name in structure.expected if name not in present]
    patient = message.first("PID")
    if patient is not None and not any(patient.value(number) for number in (3, 2, 4)):
        problems.append(Problem(REQUIRED_FIELD, "PID-3 carries no patient identifier", "PID", 1, 3))
    return tuple(problems)


def is_acknowledgment(message: Message) -> bool:
    """Whether the message answers another one: such a message is never acknowledged."""
    return message.type == "ACK" or message.first("MSA") is not None


def _header(message: Message) -> list[Problem]:
    header = message.header
    problems = []
    if not message.control_id:
        problems.append(Problem(REQUIRED_FIELD, "MSH-10 carries no message control id", "MSH", 1, 10))
    if header.value(11) not in PROCESSING_IDS:
        problems.append(Problem(UNSUPPORTED_PROCESSING_ID, "MSH-11 is none of P, T, D", "MSH", 1, 11))
    if header.value(12).strip() not in VERSIONS:
        problems.append(Problem(UNSUPPORTED_VERSION, "MSH-12 is no version from 2.1 to 2.9", "MSH", 1, 12))
    return problems


def _unsupported(message: Message) -> Problem:
    if message.type in _TYPES:
        taken = ", ".join(sorted(trigger for type_, trigger in STRUCTURES if type_ == message.type))
        return Problem(UNSUPPORTED_EVENT, f"of {message.type} the events {taken} are taken", "MSH", 1, 9, 2)
    return Problem(UNSUPPORTED_MESSAGE, f"message types taken: {', '.join(sorted(_TYPES))}", "MSH", 1, 9, 1)


def _missing(name: str, severity: str) -> Problem:
    return Problem(SEGMENT_SEQUENCE, f"segment {name} is missing", name, severity=severity)
