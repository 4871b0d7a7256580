"""Requests for authorization that wait for a person's answer: whose session, which client, for what, with what in context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from chartloop.kernel import clock
from smart_apps.opaque import digest, new_secret
from smart_apps.server.launches import LaunchContext

if TYPE_CHECKING:
    from chartloop.kernel.db import Session, Tx

PENDING_TTL_S: Final = 600
MICROSECONDS: Final = 1_000_000


class Pending(msgspec.Struct, frozen=True):
    """One request that was checked and is not answered.

    Attributes:
        client_id: Who asks.
        redirect_uri: Where the answer goes; it was registered.
        state: What the answer repeats.
        scope: What may be granted.
        challenge: PKCE challenge.
        nonce: For the id_token.
        context: What is open so far.
        wants: What a person must still choose: "patient", "encounter".
    """

    client_id: str
    redirect_uri: str
    state: str
    scope: str
    challenge: str
    nonce: str
    context: LaunchContext
    wants: tuple[str, ...] = ()


def keep(tx: Tx, session: str, pending: Pending) -> str:
    """Keep a request for the session it was made in; returns the name under which its pages know it."""
    secret, now = new_secret(), clock.now_us()
    tx.run("delete from smart_pending where expires < ?", (now,))
    row = (digest(secret), session, msgspec.json.encode(pending).decode(), now + PENDING_TTL_S * MICROSECONDS)
    tx.run("insert into smart_pending (digest, session, request, expires) values (?, ?, ?, ?)", row)
    return secret


def find(db: Session, secret: str, session: str) -> Pending | None:
    """Find a request of this session."""
    row = db.one("select request from smart_pending where digest = ? and session = ? and expires > ?", (digest(secret), session, clock.now_us()))
    return None if row is None else msgspec.json.decode(row[0], type=Pending)


def change(tx: Tx, secret: str, pending: Pending) -> None:
    """Keep what a person chose."""
    tx.run("update smart_pending set request = ? where digest = ?", (msgspec.json.encode(pending).decode(), digest(secret)))


def take(tx: Tx, secret: str, session: str) -> bool:
    """Answer a request; False when it was answered before or is none of this session."""
    return tx.run("delete from smart_pending where digest = ? and session = ?", (digest(secret), session)) == 1
