"""Events: past tense, thin, without patient data; whoever wants more reads the store under a scope of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

EVENT_TYPES: Mapping[str, str] = {
    "ResourceCreated": "A resource was stored for the first time; subject Type/id.",
    "ResourceUpdated": "A resource has a new version; subject Type/id.",
    "ResourceDeleted": "A resource was deleted; subject Type/id.",
    "MessageReceived": "An HL7 v2 message is durable; subject hl7-message/number.",
    "InterchangeQueued": "An X12 interchange waits to be sent; subject interchange/number, key payer/id.",
    "InterchangeReceived": "An X12 interchange came from a payer; subject interchange/number, key payer/id.",
    "GlassBroken": "Somebody opened a chart in an emergency; subject Patient/id.",
    "ConsentChanged": "What a patient permits or denies is another than before; subject Patient/id.",
    "DeadLettered": "A consumer gave an event up; subject dead-letter/id.",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a subject."""

    id: str
    type: str
    subject: str
    version: int
    key: str
    trace: str
    recorded: int
