"""The request of a Bundle entry: which interaction it asks for.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from chartloop.kernel.errors import Invalid
from fhir_server.type_ids import TYPE_IDS
from fhir_server.validation_bundle import BundleEntry

_URL: Final = re.compile(
    r"(?P<type>[A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64})(?P<history>/_history(?:/(?P<version>[0-9]{1,9}))?)?)?"
    r"(?:\?(?P<query>.*))?"
)
_ETAG: Final = re.compile(r'(?:W/)?"([0-9]{1,9})"')
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})


class EntryRequest(NamedTuple):
    """A request inside a Bundle."""

    method: str
    type: str
    id: str
    history: bool
    version: int
    query: str
    if_match: int | None
    if_none_exist: str


def entry_request(entry: BundleEntry, base: str) -> EntryRequest:
    """Read the request of an entry.

    Raises:
        Invalid: The method or the address is none that an entry can have here.
    """
    if entry.method not in _METHODS:
        raise Invalid("The method of an entry is GET, POST, PUT or DELETE.", code="not-supported", expression="request.method")
    match = _URL.fullmatch(entry.url.removeprefix(base + "/"))
    if match is None or match["type"] not in TYPE_IDS:
        raise Invalid("The address of an entry is relative to this server.", code="value", expression="request.url")
    request = EntryRequest(
        entry.method,
        match["type"],
        match["id"] or "",
        bool(match["history"]),
        int(match["version"] or 0),
        match["query"] or "",
        version_of(entry.if_match) if entry.if_match else None,
        entry.if_none_exist.removeprefix("?"),
    )
    _judge(request, entry)
    return request


def version_of(etag: str) -> int:
    """Read the version that If-Match names."""
    match = _ETAG.fullmatch(etag.strip())
    if match is None:
        raise Invalid('If-Match names a version, such as W/"3".', code="value", expression="request.ifMatch")
    return int(match[1])


def _judge(request: EntryRequest, entry: BundleEntry) -> None:
    writes = request.method != "GET"
    if writes and (request.query or request.history):
        raise Invalid("Conditional update and delete are not supported.", code="not-supported", expression="request.url")
    if request.method in ("PUT", "DELETE") and not request.id:
        raise Invalid(f"{request.method} needs an id in its address.", code="value", expression="request.url")
    if request.method == "POST" and request.id:
        raise Invalid("POST has no id in its address.", code="value", expression="request.url")
    if request.method in ("POST", "PUT") and not entry.resource:
        raise Invalid(f"{request.method} needs a resource.", code="required", expression="resource")
