"""FHIR search interaction on a type.

Spec: https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Iterable

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.record import AuditRecord
from fhir_server.auditing import refusals_audited
from fhir_server.search.parsing import parsed_now
from fhir_server.search.tree import Query
from fhir_server.searching import Asked, answer, permitted
from fhir_server.store import Page, Store, acting, require


def permitted_query(store: Store, scope: Scope, type_: str, query: str, *, lenient: bool = False) -> Query:
    """Parse a search and refuse what this subject may not ask."""
    require(store, scope, type_)
    return permitted(store, scope, parsed_now(store, type_, query, lenient=lenient))


def search(store: Store, scope: Scope, type_: str, query: str, *, lenient: bool = False) -> Page:
    """Return one page, after the audit record that lists what is on it is durable."""
    [page] = searches(store, scope, [(type_, query)], lenient=lenient)
    return page


def searches(store: Store, scope: Scope, asked: Iterable[tuple[str, str]], *, lenient: bool = False) -> list[Page]:
    """Return the first page of each search, by type and query, after the audit records of all of them are durable, with one wait."""
    scope = acting(scope, "search")
    done = [_searched(store, scope, type_, query, lenient=lenient) for type_, query in asked]
    store.audit.access(*(said for _, said in done))
    return [page for page, _ in done]


def _searched(store: Store, scope: Scope, type_: str, query: str, *, lenient: bool) -> tuple[Page, AuditRecord]:
    with refusals_audited(store, scope, type_, query):
        return answer(store, scope, lambda: Asked(type_, [permitted_query(store, scope, type_, query, lenient=lenient)]), query)
