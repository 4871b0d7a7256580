"""The request of a Bundle entry: which interaction or operation it asks for.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.errors import Invalid
from fhir_server.interactions.search_compartment import is_place
from fhir_server.operations.table import Operation, called
from fhir_server.preconditions import IfMatch, create_only_of, if_match_of
from fhir_server.type_ids import TYPE_IDS
from fhir_server.validation.bundles import BundleEntry

_URL: Final = re.compile(
    r"(?:(?P<type>[A-Za-z]+)(?:/(?P<id>[A-Za-z0-9.\-]{1,64})(?:/(?P<wanted>[A-Z][A-Za-z]+|\*))?)?(?:/(?=[_$])|(?=\?|\Z)))?"
    r"(?:(?P<history>_history(?:/(?P<version>[0-9]{1,9}))?)|\$(?P<operation>[a-z][a-z\-]*))?"
    r"(?:\?(?P<query>.*))?"
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_READING: Final = frozenset({"GET", "HEAD"})


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
    if_none_match: str = ""
    if_modified_since: int | None = None
    """In microseconds."""
    operation: Operation | None = None
    wanted: str = ""
    """In a compartment: the type that is looked for, or `*`."""

    @property
    def searches(self) -> bool:
        """Whether it is a search: on a type, on the system, or in a compartment."""
        return self.method in _READING and self.operation is None and not self.history and (not self.id or bool(self.wanted))

    @property
    def reads(self) -> bool:
        """Whether it stores nothing; an operation may, and says so."""
        return self.method in _READING or self.operation is not None


def entry_request(entry: BundleEntry, base: str) -> EntryRequest:
    """Read the request of an entry.

    Raises:
        Invalid: The method or the address is none that an entry can have here.
    """
    if entry.method not in _METHODS:
        raise Invalid("The method of an entry is GET, HEAD, POST, PUT, PATCH or DELETE.", code="not-supported", expression="request.method")
    match = _URL.fullmatch(_relative(entry.url, base))
    if match is None or not (match["type"] in TYPE_IDS or (match["type"] is None and _of_system(match, entry.method))):
        raise Invalid("The address of an entry is relative to this server.", code="value", expression="request.url")
    operation = called(match["operation"], match["type"] or "", match["id"] or "", entry.method) if match["operation"] else None
    if match["operation"] and operation is None:
        raise Invalid("There is no such operation at this address, with this method.", code="not-supported", expression="request.url")
    request = EntryRequest(
        entry.method,
        match["type"] or "",
        match["id"] or "",
        bool(match["history"]),
        int(match["version"] or 0),
        match["query"] or "",
        if_match_of(entry.if_match),
        entry.if_none_exist.rpartition("?")[2],
        entry.method == "PUT" and create_only_of(entry.if_none_match),
        entry.if_none_match if entry.method in _READING else "",
        clock.parse_iso(entry.if_modified_since) if entry.if_modified_since else None,
        operation,
        match["wanted"] or "",
    )
    if operation is None:
        _judge(request)
        _require_resource(entry)
    return request


def _relative(url: str, base: str) -> str:
    return url.removeprefix(base if url.startswith(base + "?") else base + "/")


def _of_system(match: re.Match[str], method: str) -> bool:
    return bool(match["history"] or match["operation"] or (match["query"] is not None and method in _READING))


def _judge(request: EntryRequest) -> None:
    if request.wanted and not (request.searches and is_place(request.type, request.wanted)):
        raise Invalid("There is no such compartment to search in.", code="not-supported", expression="request.url")
    if not request.reads and request.history:
        raise Invalid("A version is read, never written.", code="value", expression="request.url")
    if request.version and not request.id:
        raise Invalid("A version belongs to a resource.", code="value", expression="request.url")
    if request.method == "POST" and (request.id or request.query):
        raise Invalid("POST has neither an id nor a condition in its address.", code="value", expression="request.url")
    if request.method in ("PUT", "PATCH", "DELETE") and bool(request.id) == bool(request.query):
        raise Invalid(f"{request.method} needs an id or a condition in its address.", code="value", expression="request.url")


def _require_resource(entry: BundleEntry) -> None:
    if entry.method in ("POST", "PUT", "PATCH") and not entry.resource:
        raise Invalid(f"{entry.method} needs a resource.", code="required", expression="resource")
