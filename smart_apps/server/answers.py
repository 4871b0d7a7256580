"""Answers of the authorization endpoint: back to the app with `iss` and state, or to nobody; pages under a strict policy.

Spec: https://datatracker.ietf.org/doc/html/rfc9207, https://datatracker.ietf.org/doc/html/rfc9700
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from authlib.common.urls import add_params_to_uri
from flask import Response, jsonify

if TYPE_CHECKING:
    from authlib.oauth2 import OAuth2Error
    from werkzeug.datastructures import MultiDict

_REPEATED = ("response_type", "redirect_uri", "client_id", "grant_type")
_SAYABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"


def unsayable(values: MultiDict[str, str]) -> bool:
    """Whether parameters hold what neither an error may repeat (RFC 6749, 4.1.2.1) nor a database may keep."""
    repeated = (value for name in _REPEATED for value in values.getlist(name))
    return any("\x00" in value for value in values.values()) or not all(map(_SAYABLE.fullmatch, repeated))


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
