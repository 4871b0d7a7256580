"""The URLs of the authorization server.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError
from flask import Blueprint, Response, jsonify, request

from chartloop.kernel import auth
from smart_apps.server import clients
from smart_apps.server.configuration import openid_configuration, smart_configuration

if TYPE_CHECKING:
    from chartloop.kernel.db import Database
    from smart_apps.server.identity import Identity
    from smart_apps.server.server import SmartAuthorizationServer
    from smart_apps.sessions import Sessions

COOKIE = "chartloop_ehr"


def blueprint(server: SmartAuthorizationServer, database: Database, sessions: Sessions, identity: Identity) -> Blueprint:
    """Give the discovery, authorize, token, revoke and key set routes."""
    routes = Blueprint("smart", __name__)
    _discovery(routes, server, identity)
    _authorize(routes, server, sessions)
    _token(routes, server, database)
    return routes


def _public(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _discovery(routes: Blueprint, server: SmartAuthorizationServer, identity: Identity) -> None:
    @routes.get("/.well-known/smart-configuration")
    @routes.get("/fhir/.well-known/smart-configuration")
    def smart() -> Response:
        return _public(jsonify(smart_configuration(server.root)))

    @routes.get("/.well-known/openid-configuration")
    @routes.get("/fhir/.well-known/openid-configuration")
    def openid() -> Response:
        return _public(jsonify(openid_configuration(server.root)))

    @routes.get("/oauth/jwks")
    def jwks() -> Response:
        return _public(jsonify(identity.jwks()))


def _authorize(routes: Blueprint, server: SmartAuthorizationServer, sessions: Sessions) -> None:
    @routes.route("/oauth/authorize", methods=["GET", "POST"])
    def authorize() -> Response:
        try:
            grant = server.get_consent_grant(request)
        except OAuth2Error as error:
            return _closed(server.handle_error_response(request, error))
        session = sessions.find(request.cookies.get(COOKIE))
        if session is None:
            denied = AccessDeniedError("Nobody is signed in to the EHR.", redirect_uri=grant.redirect_uri)
            denied.state = grant.request.payload.state
            return _closed(server.handle_error_response(request, denied))
        return _closed(server.create_authorization_response(request, session, grant))


def _closed(response: Response) -> Response:
    """Keep codes and errors out of caches, referrers and frames."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    return response


def _token(routes: Blueprint, server: SmartAuthorizationServer, database: Database) -> None:
    def for_registered_origins(response: Response) -> Response:
        origin = request.headers.get("Origin")
        with database.read() as db:
            known = origin in clients.origins(db)
        response.headers["Vary"] = "Origin"
        if origin is not None and known:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Methods"] = "POST"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        return response

    @routes.route("/oauth/token", methods=["POST"], provide_automatic_options=False)
    def token() -> Response:
        return for_registered_origins(server.create_token_response(request))

    @routes.route("/oauth/token", methods=["OPTIONS"])
    @routes.route("/oauth/revoke", methods=["OPTIONS"])
    def preflight() -> Response:
        return for_registered_origins(Response(status=204))

    @routes.route("/oauth/revoke", methods=["POST"], provide_automatic_options=False)
    def revoke() -> Response:
        """Spec: https://datatracker.ietf.org/doc/html/rfc7009 (whoever holds a token may end it)."""
        presented = request.form.get("token")
        if not presented:
            answer = jsonify(error="invalid_request", error_description="Missing 'token' in request.")
            answer.status_code = 400
            return for_registered_origins(answer)
        database.write(lambda tx: auth.revoke(tx, presented))
        return for_registered_origins(Response(status=200))
