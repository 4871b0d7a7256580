"""Authorization codes: short, single use, stored as digests, spent in the transaction that issues the token.

Spec: https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin

from chartloop.kernel import clock
from smart_apps.opaque import digest
from smart_apps.server.launches import LaunchContext, context_to_json, json_to_context
from smart_apps.subjects import json_to_subject, subject_to_json

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db import Session, Tx

CODE_TTL_S = 60
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class AuthorizationCode(AuthorizationCodeMixin):  # type: ignore[misc]
    """One code: who authorised which client for what, and how the client will prove itself."""

    session: str
    client_id: str
    redirect_uri: str
    scope: str
    code_challenge: str
    nonce: str
    subject: Subject
    context: LaunchContext
    digest: bytes = b""
    used: bool = False
    family: str = ""
    display: str = ""

    code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        """Give the redirect URI that the token request must repeat."""
        return self.redirect_uri

    def get_scope(self) -> str:
        """Give the granted scope."""
        return self.scope


def save_code(tx: Tx, secret: str, code: AuthorizationCode) -> None:
    """Keep a code under its digest, and forget the expired ones."""
    now = clock.now_us()
    tx.run("delete from smart_code where expires < ?", (now - CODE_TTL_S * MICROSECONDS * 60,))
    tx.run(
        "insert into smart_code (digest, session, client_id, redirect_uri, scope, challenge, nonce, subject, context, "
        "expires, used, token_digest, display) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', ?)",
        (
            digest(secret),
            code.session,
            code.client_id,
            code.redirect_uri,
            code.scope,
            code.code_challenge,
            code.nonce,
            subject_to_json(code.subject),
            context_to_json(code.context),
            now + CODE_TTL_S * MICROSECONDS,
            code.display,
        ),
    )


def find_code(db: Session, secret: str, client_id: str) -> AuthorizationCode | None:
    """Find a code of this client that has not expired, spent or not."""
    row = db.one(
        "select session, client_id, redirect_uri, scope, challenge, nonce, subject, context, digest, used, token_digest, display "
        "from smart_code where digest = ? and client_id = ? and (expires > ? or used = 1)",
        (digest(secret), client_id, clock.now_us()),
    )
    if row is None:
        return None
    return AuthorizationCode(
        session=row[0],
        client_id=row[1],
        redirect_uri=row[2],
        scope=row[3],
        code_challenge=row[4],
        nonce=row[5],
        subject=json_to_subject(row[6]),
        context=json_to_context(row[7]),
        digest=bytes(row[8]),
        used=bool(row[9]),
        family=row[10],
        display=row[11],
    )


def spend_code(tx: Tx, code: AuthorizationCode, family: str) -> bool:
    """Spend a code for the authorization that it gives; False when somebody else spent it first."""
    spent = tx.run(
        "update smart_code set used = 1, token_digest = ? where digest = ? and used = 0 and expires > ?",
        (family, code.digest, clock.now_us()),
    )
    return spent == 1
