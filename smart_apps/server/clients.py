"""Registered SMART clients: public, symmetric (a secret) and asymmetric (a key pair); each bound to its exact redirect URIs.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#register-app-with-ehr
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from authlib.oauth2.rfc6749 import ClientMixin

from chartloop.kernel.access.smart_scopes import narrow
from smart_apps.opaque import digest

if TYPE_CHECKING:
    from chartloop.kernel.db import Session, Tx

PUBLIC: Final = "public"
SYMMETRIC: Final = "symmetric"
ASYMMETRIC: Final = "asymmetric"
METHODS: Final = {PUBLIC: "none", SYMMETRIC: "client_secret_basic", ASYMMETRIC: "private_key_jwt"}
"""How each kind of client proves itself at the token endpoint."""

CODE: Final = "authorization_code"
REFRESH: Final = "refresh_token"
BACKEND: Final = "client_credentials"


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):  # type: ignore[misc]
    """One registered app or backend service.

    Attributes:
        client_id: Its name in every request.
        name: What people call it.
        redirect_uris: Where it may be sent back to, character by character.
        launch_url: Where the EHR starts it; "" = nowhere.
        scope: What it may ask for.
        origins: Web origins from which its pages call.
        kind: public, symmetric or asymmetric.
        secret: Hex SHA-256 of its secret.
        jwks: Its public keys as JSON, or "".
        jwks_uri: Where its public keys are, or "".
        grants: Grant types.
        first_party: Whether it is this product's own, for which nobody is asked.
        test: Whether it may ask for simulated errors.
        simulate: The simulated error that it meets.
        role: Role of a backend service.
        acts_for: Reference of whom a backend service acts for.
        id_token_alg: How its id_tokens are signed.
    """

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    launch_url: str
    scope: str
    origins: tuple[str, ...] = ()
    kind: str = PUBLIC
    secret: str = ""
    jwks: str = ""
    jwks_uri: str = ""
    grants: tuple[str, ...] = (CODE, REFRESH)
    first_party: bool = False
    test: bool = False
    simulate: str = ""
    role: str = ""
    acts_for: str = ""
    id_token_alg: str = "RS256"  # noqa: S105 an algorithm

    def get_client_id(self) -> str:
        """Give the id, as Authlib asks for it."""
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """Refuse a default: every request names its redirect URI."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Narrow what was asked for to what was registered; None when nothing is left."""
        return " ".join(narrow((scope or "").split(), self.scope.split())) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Compare by characters: no prefix, no normalisation, no wildcard."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare by digest, in constant time; a client without a secret has no right one."""
        return bool(self.secret) and hmac.compare_digest(digest(client_secret).hex(), self.secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Allow the one method of its kind."""
        return METHODS[self.kind] == method

    def check_response_type(self, response_type: str) -> bool:
        """Allow the code flow only."""
        return response_type == "code" and CODE in self.grants

    def check_grant_type(self, grant_type: str) -> bool:
        """Allow what was registered."""
        return grant_type in self.grants


_NAMES: Final = tuple(field.name for field in fields(Client))
_COLUMNS: Final = ", ".join(_NAMES)
_LISTS: Final = frozenset({"redirect_uris", "origins", "grants"})
_FLAGS: Final = frozenset({"first_party", "test"})


def register(tx: Tx, client: Client) -> None:
    """Register a client, or change its registration."""
    remove(tx, client.client_id)
    values = tuple(_stored(name, getattr(client, name)) for name in _NAMES)
    tx.run(f"insert into smart_client ({_COLUMNS}) values ({', '.join('?' * len(_NAMES))})", values)


def remove(tx: Tx, client_id: str) -> bool:
    """Forget a client; False when there was none."""
    return bool(tx.run("delete from smart_client where client_id = ?", (client_id,)))


def _stored(name: str, value: Any) -> Any:
    return json.dumps(value) if name in _LISTS else int(value) if name in _FLAGS else value


def _client(row: tuple[Any, ...]) -> Client:
    return Client(**{name: _read(name, value) for name, value in zip(_NAMES, row, strict=True)})


def _read(name: str, value: Any) -> Any:
    return tuple(json.loads(value)) if name in _LISTS else bool(value) if name in _FLAGS else value


def find(db: Session, client_id: str) -> Client | None:
    """Find one client."""
    row = db.one(f"select {_COLUMNS} from smart_client where client_id = ?", (client_id,))
    return None if row is None else _client(row)


def everyone(db: Session) -> list[Client]:
    """List the registered clients."""
    return [_client(row) for row in db.all(f"select {_COLUMNS} from smart_client order by client_id")]


def launchable(db: Session) -> list[Client]:
    """List the clients that the EHR can start."""
    return [client for client in everyone(db) if client.launch_url]


def origins(db: Session) -> frozenset[str]:
    """Give the web origins that may read the token endpoint and FHIR from a browser."""
    rows = db.all("select origins from smart_client where origins <> '[]'")
    return frozenset(origin for (listed,) in rows for origin in json.loads(listed))
