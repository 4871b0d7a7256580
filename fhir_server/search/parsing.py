"""Parse a search with the parameters of this moment.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence

from chartloop.kernel.errors import Invalid
from fhir_server.search.several import parse_several
from fhir_server.search.text_parameters import require_full_text
from fhir_server.search.tree import Query
from fhir_server.store import Store


def parsed_now(store: Store, type_: str, query: str, *, lenient: bool = False) -> Query:
    """Parse a query string; a refusal stands only if no process has changed the parameters meanwhile."""
    [parsed] = several_now(store, (type_,), query, lenient=lenient)
    return parsed


def several_now(store: Store, types: Sequence[str], query: str, *, lenient: bool = False) -> list[Query]:
    """Parse a query string for each of some types that are searched together."""
    try:
        return _several(store, types, query, lenient=lenient)
    except Invalid:
        if not store.parameters.refresh(store.db):
            raise
    return _several(store, types, query, lenient=lenient)


def _several(store: Store, types: Sequence[str], query: str, *, lenient: bool) -> list[Query]:
    now = store.parameters.now
    parsed = parse_several(types, query, now, base=store.base, lenient=lenient, filling=now.filling)
    for each in parsed:
        require_full_text(each, built=store.full_text)
        each.known = now.version
    return parsed
