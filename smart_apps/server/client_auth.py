"""Who a client is at the token, introspection and revocation endpoints: one proof, of the kind that was registered.

Spec: https://datatracker.ietf.org/doc/html/rfc6749#section-2.3, https://datatracker.ietf.org/doc/html/rfc7523#section-2.2
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError

from chartloop.kernel import clock
from smart_apps.server import assertions, authorizations, clients
from smart_apps.server.assertions import AssertionRefused
from smart_apps.server.clients import ASYMMETRIC, PUBLIC, REFRESH, SYMMETRIC, Client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chartloop.kernel.db import Database
    from smart_apps.server.key_sets import KeySets

MAX_ID: Final = 256


class ClientAuthentication:
    """Authenticates the client of a request."""

    def __init__(self, database: Database, keys: KeySets, token_endpoint: str) -> None:
        """Take where clients are registered, where their keys are, and the audience of their assertions."""
        self._database = database
        self._keys = keys
        self._audience = token_endpoint

    def authenticate(self, form: Mapping[str, Any], authorization: str) -> Client:
        """Give the client that a request proves to be from.

        Args:
            form: Parameters of the body.
            authorization: Authorization header, or "".

        Raises:
            InvalidRequestError: It uses more than one way.
            InvalidClientError: It proves nothing; why is not said.
        """
        basic = authorization.lower().startswith("basic ")
        if basic + ("client_assertion" in form) + ("client_secret" in form) > 1:
            raise InvalidRequestError("Use one way to authenticate the client.")
        if basic:
            return self._symmetric(form, authorization)
        if "client_assertion" in form or "client_assertion_type" in form:
            return self._asymmetric(form)
        client = self._find(str(form.get("client_id") or "") or self._refreshing(form))
        if client is None or client.kind != PUBLIC or "client_secret" in form:
            raise InvalidClientError("The client is unknown, or must prove itself as it was registered to.")
        return client

    def _refreshing(self, form: Mapping[str, Any]) -> str:
        """Say whose refresh token this is: a public client has no proof, and a refresh without its id, as SMART writes it, names it by the token."""
        if form.get("grant_type") != REFRESH or not form.get("refresh_token"):
            return ""
        with self._database.read() as db:
            found = authorizations.find_refresh(db, str(form["refresh_token"]))
        return found[0].client_id if found else ""

    def _find(self, client_id: str) -> Client | None:
        if not client_id or len(client_id) > MAX_ID or "\x00" in client_id:
            return None
        with self._database.read() as db:
            return clients.find(db, client_id)

    def _symmetric(self, form: Mapping[str, Any], authorization: str) -> Client:
        client_id, secret = _basic(authorization)
        client = self._find(client_id)
        proven = client is not None and client.check_client_secret(secret)
        if client is None or not proven or client.kind != SYMMETRIC or form.get("client_id", client_id) != client_id:
            raise InvalidClientError("The client is unknown, or its secret is not right.", status_code=401)
        return client

    def _asymmetric(self, form: Mapping[str, Any]) -> Client:
        refused = InvalidClientError("The client assertion does not prove who the client is.")
        if form.get("client_assertion_type") != assertions.TYPE:
            raise refused
        try:
            assertion = assertions.read(str(form.get("client_assertion", "")))
            client = self._find(assertion.client_id)
            if client is None or client.kind != ASYMMETRIC or form.get("client_id", client.client_id) != client.client_id:
                raise refused
            expires = assertions.check(assertion, client, self._audience, self._keys)
        except AssertionRefused:
            raise refused from None
        jti = str(assertion.claims["jti"])
        until = max(expires, clock.now_us())
        if not self._database.write(lambda tx: assertions.spend(tx, client.client_id, jti, until)):
            raise refused
        return client


def _basic(authorization: str) -> tuple[str, str]:
    """Read id and secret; both are form-encoded inside (RFC 6749, 2.3.1)."""
    try:
        text = base64.b64decode(authorization[len("basic ") :].strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return "", ""
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)
