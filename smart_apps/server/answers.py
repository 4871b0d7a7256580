"""Answers of the authorization endpoint: back to the app with `iss` and state, or to nobody; pages under a strict policy.

Spec: https://datatracker.ietf.org/doc/html/rfc9207, https://datatracker.ietf.org/doc/html/rfc9700
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from authlib.common.urls import add_params_to_uri
from flask import Response, jsonify

if TYPE_CHECKING:
    from authlib.oauth2 import OAuth2Error

_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"


def closed(response: Response, redirect_uri: str = "") -> Response:
    """Keep codes and pages out of caches, referrers and frames; a form may lead to the app that asks."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    # A browser applies form-action to every redirect that follows a form.
    response.headers["Content-Security-Policy"] = f"{_POLICY} {_source(redirect_uri)}".strip()
    return response


def _source(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:" if parts.scheme else ""


def back(redirect_uri: str, root: str, *, status: int = 302, **said: str) -> Response:
    """Send the browser back to a registered address; who answers is said with it."""
    params = [(name, value) for name, value in {**said, "iss": root}.items() if value]
    response = Response(status=status)
    response.headers["Location"] = add_params_to_uri(redirect_uri, params)
    return closed(response)


def failed(error: OAuth2Error, root: str, *, status: int = 302) -> Response:
    """Say what is wrong: to the app when its address was proven, else to the browser alone."""
    description = error.get_error_description()
    if error.redirect_uri:
        return back(error.redirect_uri, root, status=status, error=str(error.error), error_description=description, state=error.state or "")
    response = jsonify(error=error.error, error_description=description)
    response.status_code = error.status_code
    return closed(response)
