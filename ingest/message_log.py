"""Statements on the message log: find, keep, load, mark."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ingest import tables as _tables  # noqa: F401 declares the tables that these statements are about

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chartloop.kernel.db_session import Session, Tx
    from ingest.hl7v2.problem import Problem

ACCEPTED = "accepted"
REJECTED = "rejected"
MAPPED = "mapped"
FAILED = "failed"
_KEYS_AT_ONCE = 500
STATES = (ACCEPTED, REJECTED, MAPPED, FAILED)


class MessageIdentity(NamedTuple):
    """What makes two receptions the same message: MSH-3 and MSH-4, MSH-10, and the bytes."""

    source: str
    control_id: str
    digest: bytes


class LoggedMessage(NamedTuple):
    """One message as the log holds it."""

    number: int
    received: int
    body: bytes
    state: str


class Entry(NamedTuple):
    """What is written when a message arrives."""

    identity: MessageIdentity
    received: int
    type: str
    charset: str
    body: bytes
    ack: bytes
    state: str
    problems: str


def answered(session: Session, identity: MessageIdentity) -> tuple[int, str, bytes] | None:
    """Number, state and acknowledgment of the same message, if it came before."""
    row = session.one("SELECT id, state, ack FROM hl7_message WHERE source = ? AND control_id = ? AND sha256 = ?", identity)
    return None if row is None else (int(row[0]), str(row[1]), bytes(row[2]))


def keep(tx: Tx, entry: Entry) -> tuple[int, bool] | None:
    """Write a message down; give its number, and whether its control id had come with another content; none if it is there already."""
    identity = entry.identity
    reused = bool(identity.control_id) and tx.one("SELECT 1 FROM hl7_message WHERE source = ? AND control_id = ?", identity[:2]) is not None
    rows = tx.all(
        "INSERT INTO hl7_message (received, source, control_id, sha256, type, charset, body, ack, state, reused, problems)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
        (entry.received, *identity, entry.type, entry.charset, tx.columns.keep(entry.body, *_place(identity.digest)), entry.ack, entry.state, int(reused), entry.problems),
    )
    return (int(rows[0][0]), reused) if rows else None


def keep_again(tx: Tx, number: int, entry: Entry) -> None:
    """Replace the answer to a message that was rejected before and is taken now."""
    tx.run(
        "UPDATE hl7_message SET received = ?, ack = ?, state = ?, problems = ? WHERE id = ?",
        (entry.received, entry.ack, entry.state, entry.problems, number),
    )


def load(session: Session, number: int) -> LoggedMessage | None:
    """One message by its number."""
    row = session.one("SELECT id, received, body, state, sha256 FROM hl7_message WHERE id = ?", (number,))
    if row is None:
        return None
    return LoggedMessage(int(row[0]), int(row[1]), session.columns.kept(bytes(row[2]), *_place(bytes(row[4]))), str(row[3]))


def mark(tx: Tx, number: int, state: str, problems: str) -> None:
    """Say how far a message has come."""
    tx.run("UPDATE hl7_message SET state = ?, problems = ? WHERE id = ?", (state, problems, number))


def counts(session: Session) -> Mapping[str, int]:
    """Messages per state, zeroes included."""
    found = {str(state): int(count) for state, count in session.all("SELECT state, COUNT(*) FROM hl7_message GROUP BY state")}
    return {state: found.get(state, 0) for state in STATES}


def latest_events(session: Session, keys: Iterable[str]) -> dict[str, int]:
    """Time of the newest message that was applied to each resource, or rank of what holds of a result, by business identifier."""
    names = {_hidden(key): key for key in keys}
    waiting = list(names)
    found = {}
    while waiting:
        hidden, waiting = waiting[:_KEYS_AT_ONCE], waiting[_KEYS_AT_ONCE:]
        marks = ", ".join("?" * len(hidden))
        for name, event in session.all(f"SELECT key, event FROM hl7_latest WHERE key IN ({marks})", hidden):
            found[names[name]] = int(event)
    return found


def advance(tx: Tx, key: str, event: int) -> None:
    """Remember the time of the newest message that was applied to a resource, or the rank of what holds of a result."""
    tx.run(
        "INSERT INTO hl7_latest (key, event) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET event = excluded.event WHERE hl7_latest.event < excluded.event",
        (_hidden(key), event),
    )


def written_problems(problems: Iterable[Problem]) -> str:
    """Findings as the log keeps them: severity, condition, position and sentence, never content."""
    return "\n".join(f"{problem.severity} {problem.code} {problem.position or '-'} {problem.text}" for problem in problems)


def _place(digest: bytes) -> tuple[str, str]:
    return "hl7_message.body", digest.hex()


def _hidden(key: str) -> str:
    return sha256(key.encode()).hexdigest()
