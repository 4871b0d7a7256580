"""CDS Hooks discovery: every service this server offers, to any origin.

Spec: https://cds-hooks.hl7.org/2.0/#discovery
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, jsonify


def blueprint(services: Sequence[Mapping[str, Any]] = ()) -> Blueprint:
    """Give GET /cds-services for these services."""
    routes = Blueprint("cds_hooks", __name__)

    @routes.route("/cds-services", methods=["GET"], provide_automatic_options=False)
    def discovery() -> Response:
        answer = jsonify(services=list(services))
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    @routes.route("/cds-services", methods=["OPTIONS"])
    def preflight() -> Response:
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
        }
        return Response(status=204, headers=headers)

    return routes
