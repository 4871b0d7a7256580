"""What is wrong with a message, and where: data that an ERR segment can carry.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading108 (ERR), table 0357 (message error condition codes), table 0516 (severity)
"""

from __future__ import annotations

from dataclasses import dataclass

SEGMENT_SEQUENCE = "100"
REQUIRED_FIELD = "101"
DATA_TYPE = "102"
TABLE_VALUE = "103"
UNSUPPORTED_MESSAGE = "200"
UNSUPPORTED_EVENT = "201"
UNSUPPORTED_PROCESSING_ID = "202"
UNSUPPORTED_VERSION = "203"
INTERNAL_ERROR = "207"

CONDITIONS = {
    SEGMENT_SEQUENCE: "Segment sequence error",
    REQUIRED_FIELD: "Required field missing",
    DATA_TYPE: "Data type error",
    TABLE_VALUE: "Table value not found",
    UNSUPPORTED_MESSAGE: "Unsupported message type",
    UNSUPPORTED_EVENT: "Unsupported event code",
    UNSUPPORTED_PROCESSING_ID: "Unsupported processing id",
    UNSUPPORTED_VERSION: "Unsupported version id",
    INTERNAL_ERROR: "Application internal error",
}
REJECTING = frozenset({UNSUPPORTED_MESSAGE, UNSUPPORTED_EVENT, UNSUPPORTED_PROCESSING_ID, UNSUPPORTED_VERSION})


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: table 0357 code, position (segment, its occurrence, field, …), severity E or W, and a sentence without patient data."""

    code: str
    text: str
    segment: str = ""
    occurrence: int = 1
    field: int = 0
    component: int = 0
    repetition: int = 0
    severity: str = "E"

    @property
    def position(self) -> str:
        """Location as ERR-2 writes it: segment^occurrence^field^repetition^component."""
        if not self.segment:
            return ""
        parts = [self.segment, str(self.occurrence)]
        if self.field:
            parts.append(str(self.field))
            if self.repetition or self.component:
                parts.append(str(self.repetition or 1))
            if self.component:
                parts.append(str(self.component))
        return "^".join(parts)

    @property
    def is_error(self) -> bool:
        """Whether the message cannot be used because of it."""
        return self.severity == "E"
