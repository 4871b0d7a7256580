"""The URLs of the authorization server.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from smart_apps.server import clients
from smart_apps.server.brands import BUNDLE_PATH, brand_bundle
from smart_apps.server.configuration import openid_configuration, smart_configuration
from smart_apps.server.consent import COOKIE, Consent
from smart_apps.server.endpoints import Endpoints
from smart_apps.server.pages import pages
from smart_apps.server.style import STYLE, STYLE_PATH

if TYPE_CHECKING:
    from chartloop.kernel.db import Database
    from smart_apps.server.identity import Identity
    from smart_apps.server.picking import Charts
    from smart_apps.server.server import SmartAuthorizationServer
    from smart_apps.sessions import Sessions

__all__ = ["COOKIE", "blueprint"]

METHODS = ("POST",)


def blueprint(
    server: SmartAuthorizationServer, database: Database, sessions: Sessions, identity: Identity, charts: Charts | None = None
) -> Blueprint:
    """Give the discovery, authorization, consent, token and further endpoints.

    Args:
        server: Decides.
        database: Where clients and requests are kept.
        sessions: Knows who is signed in.
        identity: Publishes its keys.
        charts: Opens the chart for a standalone launch; None = nothing can be chosen here.
    """
    routes = Blueprint("smart", __name__)
    _discovery(routes, server, identity)
    routes.register_blueprint(pages(Consent(server, database, sessions, charts)))
    _endpoints(routes, Endpoints(server, database), database)
    return routes


def _discovery(routes: Blueprint, server: SmartAuthorizationServer, identity: Identity) -> None:
    def public(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    @routes.get("/.well-known/smart-configuration")
    @routes.get("/fhir/.well-known/smart-configuration")
    def smart() -> Response:
        return public(jsonify(smart_configuration(server.root, server.options)))

    @routes.get("/.well-known/openid-configuration")
    @routes.get("/fhir/.well-known/openid-configuration")
    def openid() -> Response:
        return public(jsonify(openid_configuration(server.root, server.options)))

    @routes.get("/oauth/jwks")
    def jwks() -> Response:
        return public(jsonify(identity.jwks()))

    @routes.get(STYLE_PATH)
    def style() -> Response:
        return public(jsonify(STYLE))

    @routes.get(BUNDLE_PATH)
    def brands() -> Response:
        if server.options.brand is None:
            return public(Response(status=404))
        answer = jsonify(brand_bundle(server.options.brand, server.root))
        answer.mimetype = "application/fhir+json"
        answer.add_etag(weak=True)
        answer.make_conditional(request)
        return public(answer)


def _endpoints(routes: Blueprint, endpoints: Endpoints, database: Database) -> None:
    def open_to(response: Response) -> Response:
        """Let pages of registered origins read the answer."""
        origin = request.headers.get("Origin")
        with database.read() as db:
            known = origin in clients.origins(db)
        response.headers["Vary"] = "Origin"
        if origin is not None and known:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Methods"] = "GET, POST"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        return response

    def add(path: str, view: Callable[[], Response], methods: tuple[str, ...] = METHODS) -> None:
        name = path.rpartition("/")[2]
        routes.add_url_rule(path, name, lambda: open_to(view()), methods=methods, provide_automatic_options=False)
        routes.add_url_rule(path, f"{name}_preflight", lambda: open_to(Response(status=204)), methods=("OPTIONS",))

    add("/oauth/token", endpoints.token)
    add("/oauth/introspect", endpoints.introspect)
    add("/oauth/revoke", endpoints.revoke)
    add("/oauth/register", endpoints.register)
    add("/oauth/userinfo", endpoints.userinfo, ("GET", "POST"))
