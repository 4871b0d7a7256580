"""Changes of registered clients, checked and audited: by the administrator's command line, or by apps themselves where a site allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chartloop.kernel.access.smart_scopes import CONTEXT_SCOPES, parse
from chartloop.kernel.errors import Conflict, Invalid, NotFound
from smart_apps.server import authorizations, clients, identity
from smart_apps.server.auditing import record
from smart_apps.server.clients import ASYMMETRIC, BACKEND, CODE, METHODS, REFRESH, SYMMETRIC, Client
from smart_apps.server.faults import FAULTS
from smart_apps.server.key_sets import read_key_set

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import Tx

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_BROWSER: Final = frozenset({"javascript", "data", "blob", "file", "vbscript", "about", "ws", "wss", "ftp", "view-source", "filesystem"})
MAX_ID: Final = 256


def check_client(client: Client) -> Client:
    """Give back a client that can be registered.

    Raises:
        Invalid: Something of it contradicts the rest, or could not be kept.
    """
    if client.kind not in METHODS or not set(client.grants) <= {CODE, REFRESH, BACKEND}:
        raise _wrong("The kind is public, symmetric or asymmetric; grant types are authorization_code, refresh_token and client_credentials.")
    if not 0 < len(client.client_id) <= MAX_ID or not client.client_id.isascii() or not client.client_id.isprintable() or ":" in client.client_id:
        raise _wrong("A client id is of printable ASCII characters without a colon.")
    if not client.name.strip():
        raise _wrong("A client needs a name that people recognise.")
    _check_keys(client)
    _check_flow(client)
    for uri in client.redirect_uris:
        _check_redirect(uri)
    for origin in client.origins:
        _check_origin(origin)
    unknown = [text for text in client.scope.split() if text not in CONTEXT_SCOPES and parse(text) is None]
    if unknown:
        raise Invalid(f"This is no scope: {unknown[0][:64]}", code="invalid_client_metadata")
    return client


def _check_keys(client: Client) -> None:
    if (client.kind == ASYMMETRIC) != bool(client.jwks or client.jwks_uri) or (client.jwks and client.jwks_uri):
        raise _wrong("An asymmetric client has either a JWK set or the address of one; other clients have neither.")
    if (client.kind == SYMMETRIC) != bool(client.secret):
        raise _wrong("A symmetric client, and no other, has a secret.")
    if client.jwks and not read_key_set(client.jwks):
        raise _wrong("The JWK set holds no public key with a kid for RS384 or ES384.")
    if client.jwks_uri and urlsplit(client.jwks_uri).scheme not in ("http", "https"):
        raise _wrong("The address of the JWK set is http or https.")
    if client.id_token_alg not in identity.ALGORITHMS:
        raise _wrong(f"id_tokens are signed with {', '.join(identity.ALGORITHMS)}.")
    if client.simulate and (not client.test or client.simulate not in FAULTS):
        raise _wrong(f"Simulated errors are for test clients: {' '.join(sorted(FAULTS))}")


def _check_flow(client: Client) -> None:
    if BACKEND in client.grants and (client.kind != ASYMMETRIC or not client.role):
        raise _wrong("A backend service is asymmetric and acts in a role.")
    if client.role and BACKEND not in client.grants:
        raise _wrong("Only a backend service has a role of its own; other apps act in the role of who signs in.")
    if (CODE in client.grants) != bool(client.redirect_uris):
        raise _wrong("An app that people launch, and no other, has redirect URIs.")


def _check_redirect(uri: str) -> None:
    """Want https, http on this machine alone, or a scheme of the app's own; never a fragment or credentials."""
    parts = urlsplit(uri)
    own = "." in parts.scheme  # RFC 8252, 7.1: a reversed domain name
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not (safe or own) or parts.scheme in _BROWSER or "#" in uri or "*" in uri or parts.username is not None or not uri.isprintable() or " " in uri:
        message = "A redirect URI is https, http on the loopback address, or of a scheme like com.example.app; without fragment, wildcard or credentials."
        raise Invalid(message, code="invalid_redirect_uri")
    if safe and (not parts.hostname or "\\" in uri):
        raise Invalid("A redirect URI names its host.", code="invalid_redirect_uri")


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin or not parts.hostname or parts.username is not None:
        raise _wrong("An origin is a scheme, a host and perhaps a port: https://app.example.")


def _wrong(text: str) -> Invalid:
    return Invalid(text, code="invalid_client_metadata")


def add_client(tx: Tx, audit: Audit, who: Subject, client: Client) -> None:
    """Register a new client.

    Raises:
        Conflict: There is one of this id.
    """
    if clients.find(tx, client.client_id) is not None:
        raise Conflict("There is a client of this id already.")
    clients.register(tx, check_client(client))
    audit.change(tx, record("client-registered", who, reason=f"{client.client_id}: {client.kind}, scope {client.scope}"))


def change_client(tx: Tx, audit: Audit, who: Subject, client: Client, what: str) -> None:
    """Change a registration.

    Raises:
        NotFound: There is no such client.
    """
    known(tx, client.client_id)
    clients.register(tx, check_client(client))
    audit.change(tx, record("client-changed", who, reason=f"{client.client_id}: {what}"))


def remove_client(tx: Tx, audit: Audit, who: Subject, client_id: str) -> int:
    """Forget a client and end everything it was allowed; returns how many authorizations.

    Raises:
        NotFound: There is no such client.
    """
    known(tx, client_id)
    ended = authorizations.revoke_of_client(tx, client_id)
    clients.remove(tx, client_id)
    audit.change(tx, record("client-changed", who, reason=f"{client_id}: removed"))
    return ended


def known(tx: Tx, client_id: str) -> Client:
    """Find a client.

    Raises:
        NotFound: There is none.
    """
    found = clients.find(tx, client_id)
    if found is None:
        raise NotFound("There is no client of this id: see `chartloop auth clients list`.")
    return found
