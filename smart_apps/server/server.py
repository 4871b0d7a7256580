"""The authorization server: Authlib's protocol over this product's sessions, clients, codes and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Request
from flask import request as flask_request

from chartloop.kernel import auth
from chartloop.kernel.errors import Forbidden
from smart_apps.opaque import digest
from smart_apps.server import clients, codes
from smart_apps.server.grant import S256Only, SmartGrant
from smart_apps.server.launches import LaunchContext, mint_launch, redeem_launch
from smart_apps.server.tokens import token_subject

if TYPE_CHECKING:
    from chartloop.kernel.db import Database, Tx
    from smart_apps.server.clients import Client
    from smart_apps.server.codes import AuthorizationCode
    from smart_apps.server.identity import Identity
    from smart_apps.sessions import EhrSession


class _Request(FlaskOAuth2Request):  # type: ignore[misc]
    """A request under the public base URL: behind a proxy the socket does not know that TLS was there."""

    def __init__(self, root: str) -> None:
        super().__init__(flask_request)
        self.uri = root + flask_request.full_path


class SmartAuthorizationServer(AuthorizationServer):  # type: ignore[misc]
    """SMART App Launch on one database."""

    def __init__(self, database: Database, identity: Identity, *, base_url: str, token_ttl_s: int = auth.DEFAULT_TTL_S) -> None:
        super().__init__()
        self.root = base_url.rstrip("/")
        self.fhir_base = f"{self.root}/fhir"
        self._database = database
        self._token_ttl_s = token_ttl_s
        self._identity = identity
        self.load_config({})
        self.register_grant(SmartGrant, [S256Only(required=True)])

    def create_oauth2_request(self, request: object) -> _Request:
        """Wrap the current request."""
        return _Request(self.root)

    def query_client(self, client_id: str) -> Client | None:
        """Find a registered client."""
        with self._database.read() as db:
            return clients.find(db, client_id)

    def launch(self, session: EhrSession, client_id: str, context: LaunchContext) -> str:
        """Make a launch token for the session that is open in the EHR.

        Raises:
            Forbidden: Somebody who is a patient opens another patient.
        """
        own = session.subject.patient
        if own and context.patient and own != f"Patient/{context.patient}":
            raise Forbidden
        return self._database.write(lambda tx: mint_launch(tx, session.id, client_id, context))

    def redeem(self, token: str, session: EhrSession, client: Client) -> LaunchContext | None:
        """Spend a launch token."""
        return self._database.write(lambda tx: redeem_launch(tx, token, session.id, client.client_id))

    def save_code(self, secret: str, code: AuthorizationCode) -> None:
        """Keep an authorization code."""
        self._database.write(lambda tx: codes.save_code(tx, secret, code))

    def unspent_code(self, secret: str, client: Client) -> AuthorizationCode | None:
        """Find a code that may still be spent; a second use revokes what the first one gave."""
        with self._database.read() as db:
            code = codes.find_code(db, secret, client.client_id)
        if code is not None and code.used:
            self._database.write(lambda tx: auth.revoke_hash(tx, bytes.fromhex(code.token_digest)))
            return None
        return code

    def exchange(self, code: AuthorizationCode) -> dict[str, Any] | None:
        """Spend a code and issue its token in one transaction; None when it was spent meanwhile."""
        subject = token_subject(code)

        def work(tx: Tx) -> str | None:
            token = auth.issue(tx, subject, self._token_ttl_s)
            if not codes.spend_code(tx, code, digest(token).hex()):
                raise _SpentMeanwhileError
            return token

        try:
            token = self._database.write(work)
        except _SpentMeanwhileError:
            return None
        answer: dict[str, Any] = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._token_ttl_s,
            "scope": code.scope,
            "need_patient_banner": True,
            **code.context.parameters(),
        }
        if "openid" in code.scope.split():
            answer["id_token"] = self._identity.sign(self._claims(code))
        return answer

    def _claims(self, code: AuthorizationCode) -> dict[str, Any]:
        claims = {"iss": self.root, "sub": digest(code.subject.id).hex(), "aud": code.client_id}
        if code.nonce:
            claims["nonce"] = code.nonce
        if "fhirUser" in code.scope.split() and code.subject.user:
            claims["fhirUser"] = f"{self.fhir_base}/{code.subject.user}"
        return claims


class _SpentMeanwhileError(Exception):
    """Another exchange of the same code was faster; the token of this one is rolled back."""
