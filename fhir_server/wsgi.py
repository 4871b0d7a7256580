"""The FHIR API as a WSGI application: the read path in front of the routes."""

from __future__ import annotations

from flask import Flask

from chartloop.kernel.even_answers import with_even_answers
from chartloop.kernel.http import WsgiApp, with_common_headers
from fhir_server.api import PREFIX, blueprint
from fhir_server.http.calls import Gate
from fhir_server.read_path import with_read_path


def fhir_wsgi(gate: Gate, *, origins: tuple[str, ...] = ()) -> WsgiApp:
    """Serve the FHIR API at /fhir."""
    app = Flask("fhir_server")
    app.register_blueprint(blueprint(gate), url_prefix=PREFIX)
    return with_even_answers(with_common_headers(with_read_path(app.wsgi_app, gate), origins=origins))
