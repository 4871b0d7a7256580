"""The SMART side put together: authorization server, demo EHR, code search, from what it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chartloop.kernel.ids import request_id
from smart_apps.coder_app.settings import review_app
from smart_apps.ehr import routes as ehr_routes
from smart_apps.ehr.cds_client import CdsClient
from smart_apps.ehr.ehr import Ehr
from smart_apps.explainer.settings import explainer
from smart_apps.server import code_search, routes
from smart_apps.server.clients import Client, register
from smart_apps.server.identity import Identity
from smart_apps.server.options import Options
from smart_apps.server.server import SmartAuthorizationServer
from smart_apps.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from flask import Blueprint

    from chartloop.kernel.access.engine import Access
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import Database
    from fhir_server.repository import Repository
    from smart_apps.client.settings import AppSettings
    from smart_apps.ehr.chart import Chart
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
    audit: Audit,
    *,
    base_url: str,
    keys: Path,
    options: Options | None = None,
    cds_services: tuple[str, ...] = (),
    cds_deadline_s: float = 1.0,
    sessions: Sessions | None = None,
) -> SmartSide:
    """Build the SMART side of one server.

    Args:
        database: Where clients, launches, codes and sessions are kept.
        repository: The door to the chart.
        access: Decides what the EHR's pages offer.
        search: Finds billable codes by number or words.
        audit: Where tokens, refusals and consent leave their record.
        base_url: Public URL of the server, without a path.
        keys: Directory of the server's keys.
        options: What the site decides about its authorization server.
        cds_services: Base URLs of the CDS services that the EHR asks when a chart is opened.
        cds_deadline_s: How long it waits for all of them.
        sessions: Where people are signed in; None is sessions of their own that nothing records.
    """
    identity, sessions = Identity(keys), sessions or Sessions(database)
    server = SmartAuthorizationServer(database, identity, audit, base_url=base_url, options=options, enforceable=access.enforceable)
    ehr = Ehr(database, repository, access, sessions, server, CdsClient(cds_services, deadline_s=cds_deadline_s))

    def charts(subject: Subject) -> Chart:
        return ehr.chart_as(subject, request_id())

    blueprints = (
        routes.blueprint(server, database, sessions, identity, charts),
        ehr_routes.blueprint(ehr),
        code_search.blueprint(database, search),
    )
    return SmartSide(blueprints, sessions, server)


def register_review_app(database: Database, app_urls: Iterable[str], issuer: str) -> None:
    """Register the review app under the URLs where browsers reach it; the first one is where the EHR launches it."""
    _register(database, [review_app(url, (issuer,)) for url in app_urls])


def register_explainer(database: Database, launch_urls: Iterable[str], issuer: str) -> None:
    """Register the explanation page under the URLs that launch it; the first one is what cards link to."""
    _register(database, [explainer(url.removesuffix("/launch"), (issuer,)) for url in launch_urls])


def _register(database: Database, places: Sequence[AppSettings]) -> None:
    first = places[0]
    client = Client(
        client_id=first.client_id,
        name=first.name,
        redirect_uris=tuple(app.redirect_uri for app in places),
        launch_url=first.launch_url,
        scope=first.scope,
        origins=tuple(app.origin for app in places),
        first_party=True,
    )
    database.write(lambda tx: register(tx, client))
