"""_list: what a List names, as far as the reader may see the List.

A List that is not there, or that this reader may not see, names nothing. Entries that were removed from a List do not count.
Spec: https://hl7.org/fhir/R4/search.html#list
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden
from fhir_server.indexing.values import split_reference
from fhir_server.rows import current
from fhir_server.search.params import for_type
from fhir_server.search.tree import ID, Criterion, Query
from fhir_server.search.values import Token
from fhir_server.store import Store, require
from fhir_server.visible import visible


def require_lists(store: Store, scope: Scope, query: Query) -> None:
    """Refuse `_list` to who has no right to Lists, or to what they name."""
    if query.lists:
        require(store, scope, "List")
        if not store.access.searchable(scope, "List", for_type("List")["item"].paths):
            raise Forbidden("What Lists name is hidden from you.")


def listed(session: Session, store: Store, scope: Scope, query: Query) -> Iterator[Criterion]:
    """Yield a criterion for each `_list`: the ids that it names."""
    for ids in query.lists:
        named = {id_ for each in ids for type_, id_ in _entries(session, store, scope, each) if type_ == query.type}
        yield Criterion(ID, tuple(Token(None, id_) for id_ in sorted(named)))


def _entries(session: Session, store: Store, scope: Scope, id_: str) -> Iterator[tuple[str, str]]:
    row = current(session, "List", id_, store.access.row_filter(scope, "List"))
    if row is None or row.deleted:
        return
    entries: Sequence[dict[str, Any]] = visible(store, scope, row).json().get("entry", ())
    for entry in entries:
        foreign, type_, name = split_reference(entry.get("item", {}).get("reference", ""))
        if name and foreign in ("", store.base) and entry.get("deleted") is not True:
            yield type_, name
