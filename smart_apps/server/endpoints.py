"""Token, introspection, revocation, registration and userinfo, as HTTP.

Spec: https://datatracker.ietf.org/doc/html/rfc7662, https://datatracker.ietf.org/doc/html/rfc7009, https://datatracker.ietf.org/doc/html/rfc7591
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError
from flask import Response, jsonify, request

from chartloop.kernel import auth
from chartloop.kernel.errors import Invalid, Unauthenticated
from chartloop.kernel.http import bearer_token
from smart_apps.server import authorizations
from smart_apps.server.answers import unsayable
from smart_apps.server.auditing import REFUSED, client_subject, record
from smart_apps.server.introspection import claims_of_token, may_introspect_all
from smart_apps.server.registration import answer_of, requested_client, with_secret
from smart_apps.server.registry import add_client

if TYPE_CHECKING:
    from chartloop.kernel.db import Database
    from smart_apps.server.clients import Client
    from smart_apps.server.server import SmartAuthorizationServer

MAX_TOKEN = 512
MAX_REGISTRATION = 64_000
_ONCE = ("grant_type", "code", "redirect_uri", "client_id", "code_verifier", "refresh_token", "scope", "client_assertion", "client_assertion_type")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What apps call without a person."""

    server: SmartAuthorizationServer
    database: Database

    def token(self) -> Response:
        """Answer POST /oauth/token."""
        repeated = next((name for name in _ONCE if len(request.form.getlist(name)) > 1), "")
        if repeated or unsayable(request.form):
            error = InvalidRequestError(f"Multiple '{repeated}' in request." if repeated else "A parameter holds characters that none may hold.")
            return _kept_out(self.server.handle_error_response(self.server.create_oauth2_request(None), error))
        answer: Response = self.server.create_token_response(request)
        return _kept_out(answer)

    def introspect(self) -> Response:
        """Answer POST /oauth/introspect: to a client about its own tokens, to a bearer with the right about any."""
        try:
            presented = _presented()
            asking, everything = self._asking()
        except OAuth2Error as error:
            return self._refused(error)
        except Unauthenticated:
            return self._challenge()
        with self.database.read() as db:
            found = authorizations.find_access(db, presented)
            living = found is not None and _works(db, presented)
        if found is None or not living or not (everything or found[0].client_id == asking):
            return _kept_out(jsonify(active=False))
        return _kept_out(jsonify(claims_of_token(self.server.issuer, *found)))

    def _asking(self) -> tuple[str, bool]:
        """Say which client asks, and whether it may ask about every token."""
        if request.headers.get("Authorization", "").lower().startswith("bearer"):
            token = bearer_token(request.environ)
            with self.database.read() as db:
                subject = auth.authenticate(db, token)
            return subject.client, may_introspect_all(subject)
        client = self._client()
        if client.kind == "public":
            raise InvalidClientError("A public client introspects with a bearer token of its own.", status_code=401)
        return client.client_id, False

    def revoke(self) -> Response:
        """Answer POST /oauth/revoke: a client ends its own token; of other tokens it learns nothing."""
        try:
            presented = _presented()
            client = self._client()
        except OAuth2Error as error:
            return self._refused(error)
        self.server.revoke(client, presented)
        return _kept_out(Response(status=200))

    def userinfo(self) -> Response:
        """Answer /oauth/userinfo with what the id_token said."""
        try:
            token = bearer_token(request.environ)
            with self.database.read() as db:
                auth.authenticate(db, token)
                found = authorizations.find_access(db, token)
        except Unauthenticated:
            return self._challenge()
        if found is None or "openid" not in found[1].split():
            return self._challenge("insufficient_scope", 403)
        claims = self.server.issuer.claims(found[0])
        return _kept_out(jsonify({name: claims[name] for name in ("sub", "fhirUser", "name") if name in claims}))

    def register(self) -> Response:
        """Answer POST /oauth/register, where the site lets apps register themselves."""
        options = self.server.options
        if not options.registration:
            return _kept_out(Response(status=404))
        request.max_content_length = MAX_REGISTRATION
        try:
            client, secret = with_secret(requested_client(request.get_json(silent=True), options.registration_scope))
        except Invalid as error:
            return _said({"error": error.issues[0].code, "error_description": str(error)}, 400)
        self.database.write(lambda tx: add_client(tx, self.server.audit, client_subject(client.client_id), client))
        return _said(answer_of(client, secret), 201)

    def _client(self) -> Client:
        return self.server.authenticate_client(self.server.create_oauth2_request(None), [], "management")

    def _refused(self, error: OAuth2Error) -> Response:
        self.server.audit.access(record("token-refused", client_subject(""), outcome=REFUSED, reason=f"{request.path}: {error.error}"))
        return _kept_out(self.server.handle_error_response(None, error))

    @staticmethod
    def _challenge(error: str = "invalid_token", status: int = 401) -> Response:
        answer = _said({"error": error}, status)
        answer.headers["WWW-Authenticate"] = f'Bearer error="{error}"'
        return answer


def _presented() -> str:
    token = request.form.get("token") or ""
    if not token or len(request.form.getlist("token")) > 1:
        raise InvalidRequestError("Missing or multiple 'token' in request.")
    return token[:MAX_TOKEN]


def _works(db: Any, token: str) -> bool:
    try:
        auth.authenticate(db, token)
    except Unauthenticated:
        return False
    return True


def _said(body: dict[str, Any], status: int) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return _kept_out(answer)


def _kept_out(response: Response) -> Response:
    """Keep an answer out of caches."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
