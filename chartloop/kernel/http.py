"""Small pieces of HTTP that every surface uses: request ids, bearer tokens, security headers, body limits, CORS.

Spec: https://www.rfc-editor.org/rfc/rfc6750 (bearer), https://fetch.spec.whatwg.org/#http-cors-protocol
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from chartloop.kernel import ids
from chartloop.kernel.errors import TooLarge, Unauthenticated

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = list[tuple[str, str]]

API_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-site",
}
"""For FHIR and every other answer that is data."""

PAGE_HEADERS: Mapping[str, str] = {
    **API_HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
}
"""For pages that people look at."""

WHO = "chartloop.who"
"""Who sent a request, once that is known: where a record is made of it that knows no more. No header reaches this name."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")
EXPOSED = (
    "ETag, Location, Content-Location, Last-Modified, X-Request-Id, WWW-Authenticate, X-Progress, Retry-After, Expires, Allow, Accept-Patch, "
    "Accept-Encoding"
)
"""Headers of answers that a page may read besides those it always may; the asynchronous pattern needs X-Progress, Retry-After and Expires."""
ACCEPTED = (
    "Accept, Authorization, Content-Encoding, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, X-Request-Id"
)
"""Headers of requests that a page may send."""


def request_id(environ: Mapping[str, Any]) -> str:
    """Take the caller's request id when it is harmless, else make one."""
    given = str(environ.get("HTTP_X_REQUEST_ID", ""))
    return given if _REQUEST_ID.fullmatch(given) else ids.request_id()


def bearer_token(environ: Mapping[str, Any]) -> str:
    """Return the bearer token of a request; raise Unauthenticated without one."""
    found = _BEARER.fullmatch(str(environ.get("HTTP_AUTHORIZATION", "")).strip())
    if found is None:
        raise Unauthenticated
    return found[1]


def read_body(environ: Mapping[str, Any], max_bytes: int) -> bytes:
    """Read a body, never more than may be; a length that lies or is missing does not help."""
    length = str(environ.get("CONTENT_LENGTH") or "")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    stream = environ["wsgi.input"]
    chunks: list[bytes] = []
    size = 0
    wanted = int(length) if length.isdigit() else max_bytes + 1
    while size < wanted:
        chunk = stream.read(min(65_536, wanted - size))
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
    return b"".join(chunks)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes} bytes.")


def cors_headers(origin: str, allowed: Collection[str], *, preflight: bool = False) -> Headers:
    """Say that a page of a registered origin may read the answer; nothing for others. Never with credentials."""
    if not origin or (origin not in allowed and "*" not in allowed):
        return []
    headers = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin"), ("Access-Control-Expose-Headers", EXPOSED)]
    if preflight:
        headers += [
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
            ("Access-Control-Allow-Headers", ACCEPTED),
            ("Access-Control-Max-Age", "600"),
        ]
    return headers


def _by_name(headers: Iterable[tuple[str, str]]) -> list[tuple[str, tuple[str, str]]]:
    return [(header[0].lower(), header) for header in headers]


def with_common_headers(app: WsgiApp, *, origins: Collection[str] = (), defaults: Mapping[str, str] = API_HEADERS) -> WsgiApp:
    """Wrap an application: request id, security headers where it set none of its own, CORS and its preflight."""
    usual = _by_name(defaults.items())

    def wrapped(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["chartloop.request_id"] = environ.get("chartloop.request_id") or request_id(environ)
        origin = str(environ.get("HTTP_ORIGIN", ""))
        preflight = environ.get("REQUEST_METHOD") == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        ours = [("X-Request-Id", environ["chartloop.request_id"]), *cors_headers(origin, origins, preflight=preflight)]
        if preflight:
            start_response("204 No Content", [*ours, ("Content-Length", "0")])
            return []

        def start(status: str, headers: Headers, *rest: object) -> object:
            present = {name.lower() for name, _ in headers}
            # What the application said itself stands alone: a browser refuses an answer that allows an origin twice.
            # Vary is a list: what CORS adds stands beside what it said.
            added = [header for name, header in (*usual, *_by_name(ours)) if name == "vary" or name not in present]
            return start_response(status, [*headers, *added], *rest)

        return app(environ, start)

    return wrapped
