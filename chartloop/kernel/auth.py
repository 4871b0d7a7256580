"""Opaque bearer tokens: issued once, stored as SHA-256, good until they expire or are revoked.

Spec: https://datatracker.ietf.org/doc/html/rfc6750
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.access.grant_table import end_session
from chartloop.kernel.access.grants import GLASS
from chartloop.kernel.access.policy_set import PolicySet
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.db import OneRow, Tx
from chartloop.kernel.errors import Invalid, Unauthenticated

DEFAULT_TTL_S: Final = 3600
_ENTROPY_BYTES: Final = 32
_MAX_LENGTH: Final = 512


_GLASS: Final = f"FROM access_grant g WHERE g.session = t.session AND g.kind = {GLASS} AND g.session <> '' AND g.ends > ?"
_FOUND: Final = f"SELECT hash, subject, expires, revoked, (SELECT {{listed}} {_GLASS}) FROM access_token t WHERE hash = ?"
_FIND: Final = {"sqlite": _FOUND.format(listed="group_concat(g.patient, ' ')"), "postgresql": _FOUND.format(listed="string_agg(g.patient, ' ')")}


def issue(tx: Tx, subject: Subject, ttl_s: int = DEFAULT_TTL_S) -> str:
    """Issue a token for a subject.

    Args:
        tx: Transaction that stores the hash; the token works once it is committed.
        subject: Whose token it is.
        ttl_s: How long it is good for.

    Returns:
        The token. It cannot be shown again.
    """
    token = secrets.token_urlsafe(_ENTROPY_BYTES)
    now = clock.now_us()
    row = (digest_of(token), json.dumps(asdict(subject)), subject.session, now, now + ttl_s * 1_000_000)
    tx.run("INSERT INTO access_token (hash, subject, session, issued, expires, revoked) VALUES (?, ?, ?, ?, ?, 0)", row)
    return token


def authenticate(session: OneRow, token: str) -> Subject:
    """Find the subject of a token.

    Raises:
        Unauthenticated: The token is unknown, expired or revoked; the answer does not say which.
    """
    if not token or len(token) > _MAX_LENGTH:
        raise Unauthenticated
    digest = digest_of(token)
    row = session.one(_FIND[session.dialect], (clock.now_us(), digest))
    if row is None or not hmac.compare_digest(bytes(row[0]), digest) or row[3] or row[2] <= clock.now_us():
        raise Unauthenticated
    subject = subject_from_json(str(row[1]))
    return replace(subject, emergency=tuple(str(row[4]).split())) if row[4] else subject


@lru_cache(maxsize=4096)
def subject_from_json(text: str) -> Subject:
    """Read a subject as it was stored; whether its token still works is asked of the database every time."""
    data = json.loads(text)
    return Subject(**{**data, "scopes": tuple(data["scopes"]), "emergency": ()})


def digest_of(token: str) -> bytes:
    """SHA-256 of a token: what may be kept of it."""
    return hashlib.sha256(token.encode()).digest()


def is_revoked(session: OneRow, hash_: bytes) -> bool:
    """Whether a token was revoked, or ended so long ago that nothing is known of it; one that expired of itself is not revoked."""
    row = session.one("SELECT revoked FROM access_token WHERE hash = ?", (hash_,))
    return row is None or bool(row[0])


def revoke(tx: Tx, token: str) -> bool:
    """End a token now. False: there was none that still worked."""
    return revoke_hash(tx, digest_of(token))


def revoke_hash(tx: Tx, hash_: bytes) -> bool:
    """End a token of which only the SHA-256 is known, such as the one that a replayed code gave."""
    return bool(tx.run("UPDATE access_token SET revoked = 1 WHERE hash = ? AND revoked = 0", (hash_,)))


def revoke_session(tx: Tx, session: str) -> int:
    """End every token of a session now, and mend the glass it broke; returns how many tokens. Tokens without a session are not one."""
    end_session(tx, session)
    return tx.run("UPDATE access_token SET revoked = 1 WHERE session = ? AND revoked = 0", (session,)) if session else 0


def revoke_holder(tx: Tx, holder: str) -> int:
    """End every token of one subject now, such as "user:7"; returns how many."""
    found = tx.all("SELECT hash, subject FROM access_token WHERE revoked = 0 AND expires > ?", (clock.now_us(),))
    return sum(revoke_hash(tx, bytes(hash_)) for hash_, subject in found if subject_from_json(str(subject)).id == holder)


def forget_expired(tx: Tx, older_than_s: int = 86_400) -> int:
    """Drop tokens that ended long ago; returns how many."""
    return tx.run("DELETE FROM access_token WHERE expires < ?", (clock.now_us() - older_than_s * 1_000_000,))


def issue_for_cli(
    tx: Tx,
    policies: PolicySet,
    role: str,
    *,
    user: str = "",
    patient: str = "",
    scopes: Sequence[str] = (),
    ttl_s: int = DEFAULT_TTL_S,
) -> str:
    """Issue a token on the command line, for whoever may read the data directory.

    Args:
        tx: Transaction that stores the hash.
        policies: The policies in force, which know the roles.
        role: One of them.
        user: Reference of the person, "Practitioner/1".
        patient: Id or reference of the patient in context.
        scopes: SMART scopes; none = the default of scopes.toml.
        ttl_s: How long it is good for.

    Raises:
        Invalid: There is no such role.
    """
    if role not in policies.roles:
        message = f"There is no such role. Roles: {' '.join(policies.roles)}"
        raise Invalid(message, code="value")
    compartment = f"Patient/{patient}" if patient and "/" not in patient else patient
    granted = tuple(scopes) or tuple(policies.scopes["default"])
    session = f"cli-{secrets.token_hex(8)}"  # a token of its own is a session of its own
    subject = Subject(id=f"cli:{user or compartment or role}", role=role, user=user or compartment, patient=compartment, scopes=granted, session=session)
    return issue(tx, subject, ttl_s)
