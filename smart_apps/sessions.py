"""EHR sessions: entered by a one-time ticket, held by a cookie; nobody has a default password."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chartloop.kernel import auth, clock
from chartloop.kernel.access.break_glass import broken
from chartloop.kernel.errors import Unauthenticated
from smart_apps.opaque import digest, new_secret
from smart_apps.subjects import json_to_subject, subject_to_json

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db import Database, Tx

TICKET_TTL_S = 8 * 3600
SESSION_TTL_S = 8 * 3600
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class EhrSession:
    """One person's visit to the EHR.

    Attributes:
        id: Public id of the session; launches and tokens carry it.
        subject: Who entered.
        display: How the pages call them.
        csrf: What every form of this session must send back.
    """

    id: str
    subject: Subject
    display: str
    csrf: str


class Sessions:
    """Tickets and sessions, in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mint_ticket(self, subject: Subject, display: str, *, ttl_s: int = TICKET_TTL_S) -> str:
        """Make a ticket that lets `subject` enter once; only its digest is kept."""
        ticket = new_secret()
        row = (digest(ticket), subject_to_json(subject), display, clock.now_us() + ttl_s * MICROSECONDS)

        def work(tx: Tx) -> None:
            tx.run("delete from ehr_ticket where expires < ?", (clock.now_us(),))
            tx.run("insert into ehr_ticket (digest, subject, display, expires, used) values (?, ?, ?, ?, 0)", row)

        self._database.write(work)
        return ticket

    def enter(self, ticket: str) -> str:
        """Swap a ticket for the secret of a new session.

        Raises:
            Unauthenticated: The ticket is unknown, used or expired.
        """
        secret, now = new_secret(), clock.now_us()
        session_id, csrf = secrets.token_hex(16), new_secret()

        def work(tx: Tx) -> None:
            spent = tx.run("update ehr_ticket set used = 1 where digest = ? and used = 0 and expires > ?", (digest(ticket), now))
            if spent != 1:
                message = "This link was used already or is too old. Ask for a new one."
                raise Unauthenticated(message)
            found = tx.one("select subject, display from ehr_ticket where digest = ?", (digest(ticket),))
            subject, display = found if found is not None else ("", "")
            tx.run("delete from ehr_session where expires < ?", (now,))
            tx.run(
                "insert into ehr_session (digest, id, csrf, subject, display, expires) values (?, ?, ?, ?, ?, ?)",
                (digest(secret), session_id, csrf, subject, display, now + SESSION_TTL_S * MICROSECONDS),
            )

        self._database.write(work)
        return secret

    def find(self, secret: str | None) -> EhrSession | None:
        """Find the living session that a cookie names."""
        if not secret:
            return None
        with self._database.read() as db:
            row = db.one(
                "select id, subject, display, csrf from ehr_session where digest = ? and expires > ?",
                (digest(secret), clock.now_us()),
            )
            if row is None:
                return None
            subject = replace(json_to_subject(row[1]), session=row[0], emergency=tuple(broken(db, row[0])))
        return EhrSession(id=row[0], subject=subject, display=row[2], csrf=row[3])

    def leave(self, secret: str) -> None:
        """End a session; its launches, codes and the tokens of its apps end with it."""

        def work(tx: Tx) -> None:
            row = tx.one("select id from ehr_session where digest = ?", (digest(secret),))
            if row is not None:
                auth.revoke_session(tx, row[0])
                tx.run("delete from smart_launch where session = ?", (row[0],))
                tx.run("delete from smart_code where session = ? and used = 0", (row[0],))
            tx.run("delete from ehr_session where digest = ?", (digest(secret),))

        self._database.write(work)
