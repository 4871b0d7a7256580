"""Reads inside a batch or transaction: read, vread, history and search by the address of an entry.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Gone, NotFound
from fhir_server.entry_request import EntryRequest
from fhir_server.history_query import parse_history
from fhir_server.interactions.history import history
from fhir_server.interactions.read import read
from fhir_server.interactions.search import permitted_query, search
from fhir_server.interactions.vread import vread
from fhir_server.rows import current
from fhir_server.store import Page, Store, Stored, Written, acting, require
from fhir_server.subset_query import parse_subset

Answer = Written | Stored | Page | ChartloopError
"""What an entry is answered with; an error in a batch, or where others were quicker than a transaction's read."""


def require_answer(store: Store, scope: Scope, request: EntryRequest, written: frozenset[str]) -> None:
    """Refuse a read that is bound to fail, before its transaction stores anything.

    Args:
        store: The store.
        scope: Who asks.
        request: The reading entry.
        written: References of what the transaction itself brings.
    """
    if not request.id and not request.history:
        permitted_query(store, acting(scope, "search"), request.type, request.query)
        return
    scope = acting(scope, "vread" if request.version else "history" if request.history else "read")
    require(store, scope, request.type)
    if not request.history or request.version:
        parse_subset(request.type, request.query)
    if request.history and not request.version:
        parse_history(request.query)
    if not request.id or f"{request.type}/{request.id}" in written:
        return
    with store.db.read() as session:
        row = current(session, request.type, request.id, store.access.row_filter(scope, request.type))
    if row is None:
        raise NotFound
    if row.deleted and not request.history:
        raise Gone


def answer_read(store: Store, scope: Scope, request: EntryRequest) -> Stored | Page:
    """Answer one reading entry."""
    if request.version:
        return vread(store, scope, request.type, request.id, request.version, request.query)
    if request.history:
        return history(store, scope, request.type, request.id, request.query)
    if request.id:
        return read(store, scope, request.type, request.id, request.query)
    return search(store, scope, request.type, request.query)
