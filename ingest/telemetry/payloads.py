"""The register of payloads: who sent what for whom, when it first came, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ingest.telemetry import tables as _tables  # noqa: F401 declares the table that these statements are about

if TYPE_CHECKING:
    from chartloop.kernel.db_session import Session, Tx

RECEIVED: Final = "received"
STORED: Final = "stored"
REFUSED: Final = "refused"


class Arrival(NamedTuple):
    """A payload as it comes."""

    subject: str
    vendor: str
    sha256: str
    size: int
    who: str
    zone: str


class Payload(NamedTuple):
    """A payload as the register knows it."""

    id: int
    received: int
    state: str
    readings: int
    flagged: int
    unknown: Mapping[str, int]


def register(tx: Tx, arrival: Arrival, now: int) -> None:
    """Write a payload down the first time it comes."""
    tx.run(
        "INSERT INTO telemetry_payload (subject, vendor, sha256, size, who, received, zone, state, readings, flagged, unknown)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '{}') ON CONFLICT DO NOTHING",
        (arrival.subject, arrival.vendor, arrival.sha256, arrival.size, arrival.who, now, arrival.zone, RECEIVED),
    )


def find(session: Session, arrival: Arrival) -> Payload:
    """What the register knows of a payload that was written down."""
    row = session.one(
        "SELECT id, received, state, readings, flagged, unknown FROM telemetry_payload WHERE subject = ? AND vendor = ? AND sha256 = ?",
        (arrival.subject, arrival.vendor, arrival.sha256),
    )
    if row is None:
        raise LookupError("A payload is missing from the register.")
    return Payload(int(row[0]), int(row[1]), str(row[2]), int(row[3]), int(row[4]), msgspec.json.decode(str(row[5]), type=dict[str, int]))


def settle(tx: Tx, payload: Payload, zone: str) -> None:
    """Say how far a payload has come."""
    tx.run(
        "UPDATE telemetry_payload SET state = ?, zone = ?, readings = ?, flagged = ?, unknown = ? WHERE id = ?",
        (payload.state, zone, payload.readings, payload.flagged, msgspec.json.encode(payload.unknown).decode(), payload.id),
    )
