"""The explorer: in front of the API, it asks the same address for JSON as the person who is signed in, and shows the answer as a page.

Nothing is read past the API: what a page shows was decided, redacted and audited there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from chartloop.kernel.access.engine import View
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.http import Environ, Headers, StartResponse, WsgiApp
from fhir_server.http.calls import SUBJECT
from smart_apps.explorer import pages
from smart_apps.explorer.addresses import Addresses
from smart_apps.explorer.asking import is_looked_at, wants_page, without_format

_FHIR: Final = "application/fhir+json"
_NOT_OF_A_PAGE: Final = frozenset({"content-type", "content-length", "etag", "last-modified", "vary", "content-encoding", "content-security-policy"})
_FOR_DATA: Final = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_ACCEPT_ENCODING", "HTTP_PREFER", "HTTP_RANGE")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in: for the rights, and for the top of the page."""

    subject: Subject
    display: str


@dataclass(frozen=True, slots=True)
class Explorer:
    """What the pages stand on.

    Attributes:
        base: Public base URL of the API.
        visitor: Finds who is signed in by the cookie of a request; None for nobody.
        types: Types that a subject may search.
        views: What each policy that permits a reader to see a resource shows of it; none where there is nothing to see.
        elements: Names of a type's top elements.
        audit: Whether a subject may read the audit log.
        login: Address of the login page; "" where there is none.
    """

    base: str
    visitor: Callable[[Mapping[str, Any]], Visitor | None]
    types: Callable[[Subject], tuple[str, ...]]
    views: Callable[[Subject, str, str], tuple[View, ...]]
    elements: Callable[[str], tuple[str, ...]]
    audit: Callable[[Subject], bool]
    login: str = ""


def with_explorer(app: WsgiApp, explorer: Explorer) -> WsgiApp:
    """Show FHIR addresses as pages to who wants pages; everything else goes on as it came."""
    addresses = Addresses(explorer.base)
    prefix = addresses.path

    def wrapped(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ["PATH_INFO"])
        if not (path == prefix or path.startswith(f"{prefix}/")) or not is_looked_at(environ):
            return app(environ, start_response)
        visitor = None if "HTTP_AUTHORIZATION" in environ else explorer.visitor(environ)
        if not wants_page(environ):  # the page's own links to JSON and XML
            return app(environ if visitor is None else {**environ, SUBJECT: visitor.subject}, start_response)
        place = pages.Place(addresses, visitor.display if visitor else "", path, str(environ.get("QUERY_STRING", "")), explorer.login)
        if path.rstrip("/") == prefix and not without_format(place.query) and visitor is not None:
            return _send(environ, start_response, "200 OK", [], pages.start(place, explorer.types(visitor.subject)))
        status, headers, body = _ask(app, environ, visitor)
        if _header(headers, "content-type").partition(";")[0] != _FHIR or not body:
            start_response(status, headers)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
        page = _page(explorer, place, visitor, int(status[:3]), msgspec.json.decode(body))
        kept = [(name, value) for name, value in headers if name.lower() not in _NOT_OF_A_PAGE]
        return _send(environ, start_response, status, kept, page)

    return wrapped


def _ask(app: WsgiApp, environ: Environ, visitor: Visitor | None) -> tuple[str, Headers, bytes]:
    """Ask the API for the same address as JSON."""
    asked = {name: value for name, value in environ.items() if name not in _FOR_DATA}
    asked |= {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": _FHIR, "QUERY_STRING": without_format(str(environ.get("QUERY_STRING", "")))}
    if visitor is not None:
        asked[SUBJECT] = visitor.subject
    said: list[tuple[str, Headers]] = []
    answer = app(asked, lambda status, headers, *_: said.append((status, list(headers))))
    body = b"".join(answer)
    close = getattr(answer, "close", None)
    if close is not None:
        close()
    return (*said[0], body)


def _page(explorer: Explorer, place: pages.Place, visitor: Visitor | None, status: int, resource: dict[str, Any]) -> str:
    if status >= 400:
        return pages.refusal(place, status, resource)
    if resource.get("resourceType") == "Bundle":
        return pages.bundle(place, resource)
    type_, id_ = str(resource.get("resourceType")), str(resource.get("id", ""))
    views: tuple[View, ...] = explorer.views(visitor.subject, type_, id_) if visitor and id_ else ()
    facts = pages.Facts(views, explorer.elements(type_), audit=visitor is not None and explorer.audit(visitor.subject))
    return pages.resource(place, resource, facts)


def _header(headers: Headers, name: str) -> str:
    return next((value for each, value in headers if each.lower() == name), "")


def _send(environ: Environ, start_response: StartResponse, status: str, headers: Headers, page: str) -> Iterable[bytes]:
    body = page.encode()
    start_response(status, [*headers, *pages.HEADERS, ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
