"""Reads inside a batch or transaction: read, vread, history, search and operations by the address of an entry.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Gone, Invalid, NotFound
from fhir_server.entry_request import EntryRequest
from fhir_server.history_query import parse_history
from fhir_server.interactions.history import history
from fhir_server.interactions.read import read
from fhir_server.interactions.search import permitted_query, search
from fhir_server.interactions.search_compartment import queries_in_compartment, search_compartment
from fhir_server.interactions.search_system import asked_of_system, search_system
from fhir_server.interactions.vread import vread
from fhir_server.preconditions import etag, known_already
from fhir_server.rows import current
from fhir_server.store import Page, Store, Stored, Written, acting, require
from fhir_server.subset_query import parse_subset
from fhir_server.validation.bundles import BundleEntry


class Bare(NamedTuple):
    """A read that is answered without its body: by HEAD, or because the client has it."""

    status: int
    stored: Stored | None = None


class Operated(NamedTuple):
    """What an operation answered: a resource as bytes, or none."""

    status: int
    body: bytes
    etag: str = ""


Answer = Written | Stored | Page | Bare | Operated | ChartloopError
"""What an entry is answered with; an error in a batch, or where others were quicker than a transaction's read."""

Operate = Callable[[Scope, BundleEntry, EntryRequest], Operated]
"""Carries out the operation of an entry, with what its resource and address say."""


class Reading(NamedTuple):
    """How the reads of a Bundle are answered: whether unknown search parameters are ignored, and what carries out operations."""

    lenient: bool = False
    operate: Operate | None = None


PLAINLY: Final = Reading()


def require_answer(store: Store, scope: Scope, request: EntryRequest, written: frozenset[str], reading: Reading) -> None:
    """Refuse a read that is bound to fail, before its transaction stores anything.

    Args:
        store: The store.
        scope: Who asks.
        request: The reading entry.
        written: References of what the transaction itself brings.
        reading: How it will be answered.
    """
    if request.operation is not None:
        _require_operation(request, reading)
    elif request.searches:
        _require_search(store, scope, request, written, reading)
        return
    scope = acting(scope, "vread" if request.version else "history" if request.history else "read")
    if request.type:
        require(store, scope, request.type)
    if request.operation is None:
        if request.history and not request.version:
            parse_history(request.query)
        else:
            parse_subset(request.type, request.query)
    if request.id and f"{request.type}/{request.id}" not in written:
        _require_there(store, scope, request)


def _require_search(store: Store, scope: Scope, request: EntryRequest, written: frozenset[str], reading: Reading) -> None:
    scope, reader = acting(scope, "search"), acting(scope, "read")
    if request.wanted:
        require(store, reader, request.type)
        if f"{request.type}/{request.id}" not in written:
            _require_there(store, reader, request)
        queries_in_compartment(store, scope, _place(request), request.query, lenient=reading.lenient)
    elif request.type:
        permitted_query(store, scope, request.type, request.query, lenient=reading.lenient)
    else:
        asked_of_system(store, scope, request.query, lenient=reading.lenient)


def _place(request: EntryRequest) -> tuple[str, str, str]:
    return request.type, request.id, request.wanted


def _require_operation(request: EntryRequest, reading: Reading) -> None:
    if reading.operate is None or (request.operation is not None and request.operation.changes):
        raise Invalid("An operation that changes something is no part of a transaction.", code="not-supported", expression="request.url")


def _require_there(store: Store, scope: Scope, request: EntryRequest) -> None:
    with store.db.read() as session:
        row = current(session, request.type, request.id, store.access.row_filter(scope, request.type))
    if row is None:
        raise NotFound
    if row.deleted and not request.history:
        raise Gone


def answer_read(store: Store, scope: Scope, request: EntryRequest, entry: BundleEntry, reading: Reading) -> Answer:
    """Answer one reading entry."""
    if request.operation is not None:
        if reading.operate is None:
            raise Invalid("Operations are carried out over HTTP.", code="not-supported", expression="request.url")
        return reading.operate(scope, entry, request)
    found = _found(store, scope, request, reading)
    if not isinstance(found, Stored):
        return Bare(200) if request.method == "HEAD" else found
    if known_already(etag(found), found.updated, request.if_none_match, request.if_modified_since):
        return Bare(304, found)
    return Bare(200, found) if request.method == "HEAD" else found


def _found(store: Store, scope: Scope, request: EntryRequest, reading: Reading) -> Stored | Page:
    if request.version:
        return vread(store, scope, request.type, request.id, request.version, request.query)
    if request.history:
        address = "/".join(part for part in (request.type, request.id, "_history") if part)
        return history(store, scope, request.type or None, request.id or None, request.query)._replace(address=address)
    if request.wanted:
        place = _place(request)
        return search_compartment(store, scope, place, request.query, lenient=reading.lenient)._replace(address="/".join(place))
    if request.id:
        return read(store, scope, request.type, request.id, request.query)
    if not request.type:
        return search_system(store, scope, request.query, lenient=reading.lenient)._replace(address="")
    return search(store, scope, request.type, request.query, lenient=reading.lenient)._replace(address=request.type)
