"""The SMART side put together: authorization server, demo EHR, code search, from what it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chartloop.kernel import auth
from smart_apps.coder_app.settings import SCOPE, AppSettings
from smart_apps.ehr import routes as ehr_routes
from smart_apps.server import code_search, routes
from smart_apps.server.clients import Client, register
from smart_apps.server.identity import Identity
from smart_apps.server.server import SmartAuthorizationServer
from smart_apps.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flask import Blueprint

    from chartloop.kernel.access.engine import Access
    from chartloop.kernel.db import Database
    from fhir_server.repository import Repository
    from smart_apps.server.code_search import Search


@dataclass(frozen=True, slots=True)
class SmartSide:
    """What the composition root mounts and calls.

    Attributes:
        blueprints: Routes, to be registered on the Flask app at the root.
        sessions: Mints the one-time tickets of the EHR.
        server: The authorization server.
    """

    blueprints: tuple[Blueprint, ...]
    sessions: Sessions
    server: SmartAuthorizationServer


def smart_side(
    database: Database,
    repository: Repository,
    access: Access,
    search: Search,
    *,
    base_url: str,
    keys: Path,
    token_ttl_s: int = auth.DEFAULT_TTL_S,
) -> SmartSide:
    """Build the SMART side of one server.

    Args:
        database: Where clients, launches, codes and sessions are kept.
        repository: The door to the chart.
        access: Decides what the EHR's pages offer.
        search: Finds billable codes by number or words.
        base_url: Public URL of the server, without a path.
        keys: Directory of the server's keys.
        token_ttl_s: Life of an access token.
    """
    identity, sessions = Identity(keys), Sessions(database)
    server = SmartAuthorizationServer(database, identity, base_url=base_url, token_ttl_s=token_ttl_s)
    ehr = ehr_routes.Ehr(database, repository, access, sessions, server)
    blueprints = (
        routes.blueprint(server, database, sessions, identity),
        ehr_routes.blueprint(ehr),
        code_search.blueprint(database, search),
    )
    return SmartSide(blueprints, sessions, server)


def register_review_app(database: Database, app_urls: Iterable[str], issuer: str) -> None:
    """Register the review app under the URLs where browsers reach it; the first one is where the EHR launches it."""
    apps = [AppSettings(base_url=url.rstrip("/"), issuers=(issuer,)) for url in app_urls]
    client = Client(
        client_id=apps[0].client_id,
        name="review app",
        redirect_uris=tuple(app.redirect_uri for app in apps),
        launch_url=apps[0].launch_url,
        scope=SCOPE,
        origins=tuple(app.base_url for app in apps),
    )
    database.write(lambda tx: register(tx, client))
