"""Authorizations: what was allowed to a client, and the family of tokens that came of it.

A refresh token is good once. Its second use means that somebody else has it, and ends the whole family.
Spec: https://datatracker.ietf.org/doc/html/rfc9700#section-4.14.2
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chartloop.kernel import auth, clock
from smart_apps.opaque import digest, new_secret
from smart_apps.server.launches import LaunchContext, context_to_json, json_to_context
from smart_apps.server.tokens import token_subject
from smart_apps.subjects import json_to_subject, subject_to_json

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db import Session, Tx

MICROSECONDS: Final = 1_000_000
KEPT_S: Final = 7 * 86_400
"""How long what has ended is remembered, so that its reuse is still noticed."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What one person, or the administrator, allowed one client.

    Attributes:
        client_id: Whom.
        subject: Who acts, before any scope narrows it.
        display: How pages call them.
        session: Session in which it was allowed; "" of a backend service.
        scope: What was granted, as it was written.
        context: What was open.
        offline: Whether its refresh tokens outlive the session.
        expires: Microseconds; nothing is refreshed after.
        id: Names the family of its tokens.
        created: Microseconds.
        revoked: Whether it was ended.
    """

    client_id: str
    subject: Subject
    display: str
    session: str
    scope: str
    context: LaunchContext
    offline: bool
    expires: int
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    created: int = field(default_factory=clock.now_us)
    revoked: bool = False

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes, one by one."""
        return tuple(self.scope.split())


_COLUMNS: Final = "a.id, a.client_id, a.display, a.session, a.subject, a.scope, a.context, a.offline, a.created, a.expires, a.revoked"


def _authorization(row: tuple[object, ...]) -> Authorization:
    id_, client_id, display, session, subject, scope, context, offline, created, expires, revoked = row
    return Authorization(
        client_id=str(client_id),
        subject=json_to_subject(str(subject)),
        display=str(display),
        session=str(session),
        scope=str(scope),
        context=json_to_context(str(context)),
        offline=bool(offline),
        expires=int(str(expires)),
        id=str(id_),
        created=int(str(created)),
        revoked=bool(revoked),
    )


def keep(tx: Tx, given: Authorization) -> None:
    """Keep a new authorization."""
    row = (
        given.id, given.client_id, given.subject.id, given.display, given.session, subject_to_json(given.subject), given.scope,
        context_to_json(given.context), int(given.offline), given.created, given.expires,
    )  # fmt: skip
    tx.run(
        "insert into smart_authorization (id, client_id, person, display, session, subject, scope, context, offline, created, expires, revoked) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        row,
    )


def issue_access(tx: Tx, given: Authorization, scope: str, ttl_s: int, *, rights: str | None = None) -> str:
    """Issue an access token.

    Args:
        tx: Transaction that stores its digest.
        given: What was allowed.
        scope: The part of it that this token carries, as it is answered.
        ttl_s: How long it is good for.
        rights: Scopes that it really has, where an error is simulated.
    """
    # A token that is good without the session does not carry it, so that nothing bound to the session comes with it.
    session = given.session if _session_lives(tx, given.session) else ""
    subject = token_subject(given.subject, scope if rights is None else rights, given.context, session=session, client_id=given.client_id)
    token = auth.issue(tx, subject, ttl_s)
    expires = clock.now_us() + ttl_s * MICROSECONDS
    tx.run("insert into smart_token (digest, family, scope, expires) values (?, ?, ?, ?)", (digest(token), given.id, scope, expires))
    return token


def issue_refresh(tx: Tx, given: Authorization) -> str:
    """Issue the next refresh token of an authorization."""
    secret = new_secret()
    tx.run("insert into smart_refresh (digest, family, issued, used) values (?, ?, ?, 0)", (digest(secret), given.id, clock.now_us()))
    return secret


def find_refresh(db: Session, secret: str) -> tuple[Authorization, bool] | None:
    """Find the authorization of a refresh token, and whether the token was used before."""
    row = db.one(
        f"select {_COLUMNS}, r.used from smart_refresh r join smart_authorization a on a.id = r.family where r.digest = ?", (digest(secret),)
    )
    return None if row is None else (_authorization(row[:-1]), bool(row[-1]))


def spend_refresh(tx: Tx, secret: str) -> bool:
    """Spend a refresh token; False when it was spent before."""
    return tx.run("update smart_refresh set used = 1 where digest = ? and used = 0", (digest(secret),)) == 1


def refreshable(db: Session, given: Authorization) -> bool:
    """Whether an authorization still gives tokens: not ended, not too old, and its session alive where it ends with it."""
    if given.revoked or given.expires <= clock.now_us():
        return False
    return given.offline or _session_lives(db, given.session)


def _session_lives(db: Session, session: str) -> bool:
    return bool(session) and db.one("select 1 from ehr_session where id = ? and expires > ?", (session, clock.now_us())) is not None


def find_access(db: Session, token: str) -> tuple[Authorization, str, int] | None:
    """Find the authorization, scope and end (microseconds) of an access token, living or not."""
    row = db.one(
        f"select {_COLUMNS}, t.scope, t.expires from smart_token t join smart_authorization a on a.id = t.family where t.digest = ?", (digest(token),)
    )
    return None if row is None else (_authorization(row[:-2]), str(row[-2]), int(row[-1]))


def revoke_access(tx: Tx, token: str) -> bool:
    """End one access token; False when it had ended."""
    return auth.revoke(tx, token)


def revoke(tx: Tx, id_: str) -> bool:
    """End an authorization with all its tokens; False when it had ended."""
    ended = tx.run("update smart_authorization set revoked = 1 where id = ? and revoked = 0", (id_,)) == 1
    for (token,) in tx.all("select digest from smart_token where family = ? and expires > ?", (id_, clock.now_us())):
        auth.revoke_hash(tx, bytes(token))
    return ended


def revoke_of_person(tx: Tx, person: str) -> int:
    """End every authorization that a person gave, such as when their account is closed; returns how many."""
    return _revoke_each(tx, "person = ?", person)


def revoke_of_client(tx: Tx, client_id: str) -> int:
    """End every authorization of a client; returns how many."""
    return _revoke_each(tx, "client_id = ?", client_id)


def _revoke_each(tx: Tx, where: str, value: str) -> int:
    return sum(revoke(tx, id_) for (id_,) in tx.all(f"select id from smart_authorization where revoked = 0 and {where}", (value,)))


def of_person(db: Session, person: str) -> list[Authorization]:
    """List what a person allowed and what can still be used, newest first."""
    sql = f"select {_COLUMNS} from smart_authorization a where a.person = ? and a.revoked = 0 and a.expires > ? order by a.created desc, a.id"
    return [found for found in map(_authorization, db.all(sql, (person, clock.now_us()))) if refreshable(db, found)]


def forget_ended(tx: Tx) -> int:
    """Drop what ended a week ago, with its tokens; returns how many authorizations."""
    before = clock.now_us() - KEPT_S * MICROSECONDS
    tx.run("delete from smart_token where expires < ?", (before,))
    tx.run("delete from smart_refresh where family in (select id from smart_authorization where expires < ?)", (before,))
    for table in ("smart_pending", "smart_assertion", "smart_code", "smart_launch"):
        tx.run(f"delete from {table} where expires < ?", (before,))
    return tx.run("delete from smart_authorization where expires < ?", (before,))


