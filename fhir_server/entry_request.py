"""The request of a Bundle entry: which interaction it asks for.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from chartloop.kernel.errors import Invalid
from fhir_server.preconditions import IfMatch, create_only_of, if_match_of
from fhir_server.type_ids import TYPE_IDS
from fhir_server.validation.bundles import BundleEntry

_URL: Final = re.compile(
    r"(?P<type>[A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64})(?P<history>/_history(?:/(?P<version>[0-9]{1,9}))?)?)?"
    r"(?:\?(?P<query>.*))?"
)
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class EntryRequest(NamedTuple):
    """A request inside a Bundle."""

    method: str
    type: str
    id: str
    history: bool
    version: int
    query: str
    if_match: IfMatch
    if_none_exist: str
    create_only: bool


def entry_request(entry: BundleEntry, base: str) -> EntryRequest:
    """Read the request of an entry.

    Raises:
        Invalid: The method or the address is none that an entry can have here.
    """
    if entry.method not in _METHODS:
        raise Invalid("The method of an entry is GET, POST, PUT, PATCH or DELETE.", code="not-supported", expression="request.method")
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
        if_match_of(entry.if_match),
        entry.if_none_exist.removeprefix("?"),
        entry.method == "PUT" and create_only_of(entry.if_none_match),
    )
    _judge(request)
    _require_resource(entry)
    return request


def _judge(request: EntryRequest) -> None:
    if request.method != "GET" and request.history:
        raise Invalid("A version is read, never written.", code="value", expression="request.url")
    if request.method == "POST" and (request.id or request.query):
        raise Invalid("POST has neither an id nor a condition in its address.", code="value", expression="request.url")
    if request.method in ("PUT", "PATCH", "DELETE") and bool(request.id) == bool(request.query):
        raise Invalid(f"{request.method} needs an id or a condition in its address.", code="value", expression="request.url")


def _require_resource(entry: BundleEntry) -> None:
    if entry.method in ("POST", "PUT", "PATCH") and not entry.resource:
        raise Invalid(f"{entry.method} needs a resource.", code="required", expression="resource")
