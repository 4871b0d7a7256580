"""Registered SMART clients: public ones, each proven by PKCE and by its exact redirect URI.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#register-app-with-ehr
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authlib.oauth2.rfc6749 import ClientMixin

from chartloop.kernel.access.smart_scopes import narrow

if TYPE_CHECKING:
    from chartloop.kernel.db import Session, Tx


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):  # type: ignore[misc]
    """One registered app."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    launch_url: str
    scope: str
    origins: tuple[str, ...] = ()

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
        """Refuse secrets: no client of this server has one."""
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Allow public clients only."""
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        """Allow the code flow only."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Allow the code flow only."""
        return grant_type == "authorization_code"


def register(tx: Tx, client: Client) -> None:
    """Register a client, or change its registration."""
    tx.run("delete from smart_client where client_id = ?", (client.client_id,))
    tx.run(
        "insert into smart_client (client_id, name, redirect_uris, launch_url, scope, origins) values (?, ?, ?, ?, ?, ?)",
        (
            client.client_id,
            client.name,
            json.dumps(client.redirect_uris),
            client.launch_url,
            client.scope,
            json.dumps(client.origins),
        ),
    )


_COLUMNS = "client_id, name, redirect_uris, launch_url, scope, origins"


def _client(row: tuple[str, ...]) -> Client:
    client_id, name, redirect_uris, launch_url, scope, origins = row
    return Client(client_id, name, tuple(json.loads(redirect_uris)), launch_url, scope, tuple(json.loads(origins)))


def find(db: Session, client_id: str) -> Client | None:
    """Find one client."""
    row = db.one(f"select {_COLUMNS} from smart_client where client_id = ?", (client_id,))
    return None if row is None else _client(row)


def everyone(db: Session) -> list[Client]:
    """List the registered clients."""
    return [_client(row) for row in db.all(f"select {_COLUMNS} from smart_client order by client_id")]


def origins(db: Session) -> frozenset[str]:
    """Give the web origins that may read the token endpoint and FHIR from a browser."""
    return frozenset(origin for client in everyone(db) for origin in client.origins)
