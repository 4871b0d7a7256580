"""An event as others read it: a CloudEvent in JSON, the same bytes on every broker.

Spec: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from typing import Final

import msgspec

from chartloop.kernel.clock import iso
from chartloop.kernel.dead_letters import DeadLetter
from chartloop.kernel.events import Event
from chartloop.kernel.streams.ports import Mark

CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
TYPE_PREFIX: Final = "chartloop."
DATA_TYPE: Final = "application/json"


class Data(msgspec.Struct, frozen=True):
    """All that an event says besides its attributes: the version of its subject, 0 where that has none."""

    version: int


class CloudEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A CloudEvent 1.0 with the extensions partitionkey, sequence, settled and trace; a dead letter has three more."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    partitionkey: str
    sequence: str
    settled: str
    data: Data
    trace: str = ""
    consumer: str = ""
    deadletter: str = ""
    attempts: int = 0


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(CloudEvent)


def encode(event: Event, source: str, at: Mark, settled: Mark) -> bytes:
    """Write an event.

    Args:
        event: What happened.
        source: Whose store it happened in, a URI.
        at: The event's place in the order of the outbox.
        settled: Everything up to here was acknowledged by the broker before this was sent.
    """
    return _ENCODER.encode(
        CloudEvent(
            "1.0", event.id, source, TYPE_PREFIX + event.type, event.subject, iso(event.recorded), DATA_TYPE, event.key,
            mark_text(at), mark_text(settled), Data(event.version), event.trace,
        )
    )  # fmt: skip


def encode_dead(letter: DeadLetter, source: str, at: Mark, settled: Mark) -> bytes:
    """Write an event that a consumer gave up. Why is not told: the reason stays in the store, for those who may read it."""
    return _ENCODER.encode(
        CloudEvent(
            "1.0", letter.event, source, TYPE_PREFIX + letter.type, letter.subject, iso(letter.recorded), DATA_TYPE, letter.key,
            mark_text(at), mark_text(settled), Data(0), consumer=letter.consumer, deadletter=letter.id, attempts=letter.attempts,
        )
    )  # fmt: skip


def decode(body: bytes) -> CloudEvent | None:
    """Read an event; None for what is none of ours."""
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError:
        return None


def mark_text(mark: Mark) -> str:
    """Write a place so that the order of the texts is the order of the places, as the extension `sequence` asks for."""
    return f"{max(mark.xid, 0):016x}-{mark.seq:016x}"


def mark_of(text: str) -> Mark | None:
    """Read a place; None for what is none."""
    xid, dash, seq = text.partition("-")
    try:
        return Mark(int(xid, 16), int(seq, 16)) if dash else None
    except ValueError:
        return None
