"""EHR sessions: opened by a login or a one-time ticket, held by a cookie, ended by leaving, by silence or by age."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chartloop.kernel import clock
from chartloop.kernel.access.break_glass import broken
from chartloop.kernel.errors import Unauthenticated
from chartloop.kernel.ids import request_id
from smart_apps.endings import end_session
from smart_apps.opaque import digest, new_secret
from smart_apps.people.records import login_record
from smart_apps.subjects import json_to_subject, subject_to_json

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import Database, Tx

TICKET_TTL_S = 8 * 3600
SESSION_TTL_S = 8 * 3600
IDLE_S = 3600
NOTED_EVERY_S = 60  # a visit is noted once a minute, not with every page
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

    def __init__(self, database: Database, audit: Audit | None = None, *, lifetime_s: float = SESSION_TTL_S, idle_s: float = IDLE_S) -> None:
        """Take where they are kept and recorded.

        Args:
            database: Where tickets and sessions are.
            audit: Where entering and leaving is recorded; None where only tickets are minted.
            lifetime_s: A session ends so long after it was opened, whatever happens.
            idle_s: It ends after so much silence.
        """
        self._database = database
        self._audit = audit
        self.lifetime_s = lifetime_s
        self._lifetime_us = round(lifetime_s * MICROSECONDS)
        self._idle_us = round(idle_s * MICROSECONDS)

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

        def work(tx: Tx) -> str:
            spent = tx.run("update ehr_ticket set used = 1 where digest = ? and used = 0 and expires > ?", (digest(ticket), clock.now_us()))
            found = tx.one("select subject, display from ehr_ticket where digest = ?", (digest(ticket),))
            if spent != 1 or found is None:
                message = "This link was used already or is too old. Ask for a new one."
                raise Unauthenticated(message)
            return self.open(tx, json_to_subject(found[0]), found[1], how="one-time link")

        return self._database.write(work)

    def open(self, tx: Tx, subject: Subject, display: str, *, how: str = "", request: str = "") -> str:
        """Open a session for somebody who proved who they are.

        Args:
            tx: Transaction in which it is kept and recorded.
            subject: Who it is.
            display: How the pages call them.
            how: What was proved and from where, for the audit log.
            request: Id of the request.

        Returns:
            The secret for the cookie: always a new one, so that nobody can fix it beforehand.
        """
        secret, now, id_ = new_secret(), clock.now_us(), secrets.token_hex(16)
        ends = now + min(self._idle_us, self._lifetime_us)
        tx.run("delete from ehr_session where expires < ?", (now,))
        tx.run(
            "insert into ehr_session (digest, id, csrf, subject, display, expires, holder, opened, seen) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (digest(secret), id_, new_secret(), subject_to_json(subject), display, ends, subject.id, now, now),
        )
        if self._audit is not None:
            self._audit.change(tx, login_record("login", replace(subject, session=id_), reason=how, request=request or request_id()))
        return secret

    def find(self, secret: str | None) -> EhrSession | None:
        """Find the living session that a cookie names; this visit keeps it alive."""
        if not secret:
            return None
        now = clock.now_us()
        with self._database.read() as db:
            row = db.one("select id, subject, display, csrf, seen, opened from ehr_session where digest = ? and expires > ?", (digest(secret), now))
            if row is None:
                return None
            subject = replace(json_to_subject(row[1]), session=row[0], emergency=tuple(broken(db, row[0])))
        if row[4] < now - NOTED_EVERY_S * MICROSECONDS:
            ends = min(now + self._idle_us, row[5] + self._lifetime_us)  # what hangs on the session asks for this end alone
            self._database.write(lambda tx: tx.run("update ehr_session set seen = ?, expires = ? where id = ? and seen < ?", (now, ends, row[0], now)))
        return EhrSession(id=row[0], subject=subject, display=row[2], csrf=row[3])

    def leave(self, secret: str, *, how: str = "") -> None:
        """End a session; its launches, codes and the tokens of its apps end with it."""

        def work(tx: Tx) -> None:
            row = tx.one("select id, subject from ehr_session where digest = ?", (digest(secret),))
            if row is None:
                return
            end_session(tx, row[0])
            if self._audit is not None:
                who = replace(json_to_subject(row[1]), session=row[0])
                self._audit.change(tx, login_record("logout", who, reason=how, request=request_id()))

        self._database.write(work)
