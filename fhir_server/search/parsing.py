"""Parse a search with the parameters of this moment.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from chartloop.kernel.errors import Invalid
from fhir_server.search.query import parse
from fhir_server.search.text_parameters import require_full_text
from fhir_server.search.tree import Query
from fhir_server.store import Store


def parsed_now(store: Store, type_: str, query: str, *, lenient: bool = False) -> Query:
    """Parse a query string; a refusal stands only if no process has changed the parameters meanwhile."""
    try:
        return _parsed(store, type_, query, lenient=lenient)
    except Invalid:
        if not store.parameters.refresh(store.db):
            raise
    return _parsed(store, type_, query, lenient=lenient)


def _parsed(store: Store, type_: str, query: str, *, lenient: bool) -> Query:
    now = store.parameters.now
    parsed = parse(type_, query, now, base=store.base, lenient=lenient, filling=now.filling(type_))
    require_full_text(parsed, built=store.full_text)
    parsed.known = now.version
    return parsed
