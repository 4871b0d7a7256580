"""Dynamic registration: what an app says of itself, cut to what a site offers to apps it does not know.

Spec: https://datatracker.ietf.org/doc/html/rfc7591
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any, Final

from chartloop.kernel.access.smart_scopes import narrow
from chartloop.kernel.errors import Invalid
from smart_apps.opaque import digest, new_secret
from smart_apps.server.clients import ASYMMETRIC, CODE, METHODS, REFRESH, SYMMETRIC, Client
from smart_apps.server.registry import check_client

_KINDS: Final = {method: kind for kind, method in METHODS.items()}
MAX_TEXT: Final = 2000
MAX_LIST: Final = 10


def requested_client(said: Any, offered: str) -> Client:
    """Read the metadata of an app; it is asked about at every launch, and never acts without a person.

    Raises:
        Invalid: With the error code of RFC 7591.
    """
    if not isinstance(said, dict):
        raise _wrong("A JSON object is expected.")
    method = said.get("token_endpoint_auth_method", METHODS[SYMMETRIC])
    if method not in _KINDS:
        raise _wrong("token_endpoint_auth_method is none, client_secret_basic or private_key_jwt.")
    scope = " ".join(narrow(_text(said, "scope", offered).split(), offered.split()))
    if not scope:
        raise _wrong("None of the scopes is offered to apps that register themselves.")
    keys = said.get("jwks")
    client = Client(
        client_id=secrets.token_hex(16),
        name=_text(said, "client_name"),
        redirect_uris=_listed(said, "redirect_uris"),
        launch_url="",
        scope=scope,
        kind=_KINDS[method],
        secret="0" * 64 if _KINDS[method] == SYMMETRIC else "",  # replaced by with_secret
        jwks=json.dumps(keys) if keys is not None else "",
        jwks_uri=_text(said, "jwks_uri", ""),
        grants=tuple(name for name in (CODE, REFRESH) if name in (_listed(said, "grant_types") or (CODE,))),
    )
    if _listed(said, "response_types") not in ((), ("code",)):
        raise _wrong("response_types is code.")
    return check_client(client)


def with_secret(client: Client) -> tuple[Client, str]:
    """Give a symmetric client a new secret, to be shown once; others stay as they are."""
    if client.kind != SYMMETRIC:
        return client, ""
    secret = new_secret()
    return replace(client, secret=digest(secret).hex()), secret


def answer_of(client: Client, secret: str) -> dict[str, Any]:
    """Write the answer to the app."""
    answer: dict[str, Any] = {
        "client_id": client.client_id,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grants),
        "response_types": ["code"],
        "token_endpoint_auth_method": METHODS[client.kind],
        "scope": client.scope,
    }
    if secret:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    if client.kind == ASYMMETRIC:
        answer |= {"jwks_uri": client.jwks_uri} if client.jwks_uri else {"jwks": json.loads(client.jwks)}
    return answer


def _text(said: dict[str, Any], name: str, default: str | None = None) -> str:
    value = said.get(name, default)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _wrong(f"{name} is a text.")
    return value


def _listed(said: dict[str, Any], name: str) -> tuple[str, ...]:
    value = said.get(name, [])
    if not isinstance(value, list) or len(value) > MAX_LIST or not all(isinstance(each, str) and len(each) <= MAX_TEXT for each in value):
        raise _wrong(f"{name} is a short list of texts.")
    return tuple(value)


def _wrong(text: str) -> Invalid:
    return Invalid(text, code="invalid_client_metadata")
