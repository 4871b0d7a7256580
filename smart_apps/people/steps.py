"""A login that is half done: the first factor was right and a second one is missing.

The browser holds a secret in a cookie of its own; the row is found by its digest. It is no session and opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chartloop.kernel import clock
from smart_apps.opaque import digest, new_secret

if TYPE_CHECKING:
    from chartloop.kernel.db import OneRow, Tx

STEP_TTL_S = 600
MICROSECONDS = 1_000_000
SECOND, ENROL = "second", "enrol"


@dataclass(frozen=True, slots=True)
class Step:
    """One half-done login.

    Attributes:
        secret: What the cookie holds.
        person: Whose login.
        stage: second (asks for the second factor) or enrol (one must be set up first).
        how: What was proved so far, in words for the audit log.
        next: Where the browser goes when it is done: a local path.
        tries: How many answers were given.
    """

    secret: str
    person: str
    stage: str
    how: str
    next: str
    tries: int = 0


def begin(tx: Tx, person: str, stage: str, how: str, next_: str) -> Step:
    """Begin a half-done login under a new secret."""
    step, now = Step(new_secret(), person, stage, how, next_), clock.now_us()
    tx.run("delete from login_step where expires < ?", (now,))
    tx.run(
        "insert into login_step (digest, person, stage, how, next, tries, expires) values (?, ?, ?, ?, ?, 0, ?)",
        (digest(step.secret), person, stage, how, next_, now + STEP_TTL_S * MICROSECONDS),
    )
    return step


def find(db: OneRow, secret: str) -> Step | None:
    """Find a half-done login that has not expired."""
    found = "select person, stage, how, next, tries from login_step where digest = ? and expires > ?"
    row = db.one(found, (digest(secret), clock.now_us())) if secret else None
    return None if row is None else Step(secret, *row)


def count(tx: Tx, step: Step) -> bool:
    """Count an answer; False when another one to the same question was faster."""
    return tx.run("update login_step set tries = tries + 1 where digest = ? and tries = ?", (digest(step.secret), step.tries)) == 1


def end(tx: Tx, step: Step) -> bool:
    """End it; False when it was ended before."""
    return tx.run("delete from login_step where digest = ?", (digest(step.secret),)) == 1


def end_all(tx: Tx, person: str) -> None:
    """End every half-done login of a person."""
    tx.run("delete from login_step where person = ?", (person,))
