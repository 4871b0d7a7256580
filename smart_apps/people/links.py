"""One-time links by which a person chooses a password: the first, or a new one. Nothing has a default password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chartloop.kernel import clock
from smart_apps.opaque import digest, new_secret

if TYPE_CHECKING:
    from chartloop.kernel.db import OneRow, Tx

MICROSECONDS = 1_000_000


def make(tx: Tx, person: str, ttl_s: float) -> str:
    """Make the secret of a link; earlier links of this person end."""
    secret, now = new_secret(), clock.now_us()
    tx.run("delete from person_link where person = ? or expires < ?", (person, now))
    tx.run("insert into person_link (digest, person, expires) values (?, ?, ?)", (digest(secret), person, now + round(ttl_s * MICROSECONDS)))
    return secret


def whose(db: OneRow, secret: str) -> str:
    """Find whose link this is; empty when it is unknown, used or too old. Looking does not use it: mail programs look, too."""
    row = db.one("select person from person_link where digest = ? and expires > ?", (digest(secret), clock.now_us()))
    return "" if row is None else str(row[0])


def spend(tx: Tx, secret: str) -> bool:
    """Use a link."""
    return tx.run("delete from person_link where digest = ? and expires > ?", (digest(secret), clock.now_us())) == 1


def end(tx: Tx, person: str) -> None:
    """End the links of a person."""
    tx.run("delete from person_link where person = ?", (person,))
