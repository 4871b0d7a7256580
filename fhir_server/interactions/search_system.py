"""FHIR search interaction on the whole system: parameters that every type has, or every type that `_type` names.

Without `_type` it looks at every type that this reader may search so; a type that hides one of the elements from this
reader is left out, as if it were not there. What `_type` names is asked for, and refused as on the type.
Spec: https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Sequence

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden
from fhir_server.auditing import refusals_audited
from fhir_server.search.parsing import several_now
from fhir_server.search.several import SEARCHED, named_types
from fhir_server.search.tree import Query
from fhir_server.searching import Asked, answer, permitted
from fhir_server.store import Page, Store, acting, require


def search_system(store: Store, scope: Scope, query: str, *, lenient: bool = False) -> Page:
    """Return one page, after the audit record that lists what is on it is durable."""
    scope = acting(scope, "search")
    with refusals_audited(store, scope, "", query):
        page, said = answer(store, scope, lambda: asked_of_system(store, scope, query, lenient=lenient), query)
    store.audit.access(said)
    return page


def asked_of_system(store: Store, scope: Scope, query: str, *, lenient: bool = False) -> Asked:
    """Parse a search on the system and refuse what this subject may not ask."""
    named, rest = named_types(query, SEARCHED)
    queries = several(store, scope, named, SEARCHED, rest, lenient=lenient)
    say_types(queries, named)
    return Asked("", queries)


def several(store: Store, scope: Scope, named: Sequence[str], known: Sequence[str], query: str, *, lenient: bool) -> list[Query]:
    """Parse a search on the types that are named, or else on all that are known here and that this reader may search.

    Raises:
        Invalid: Some type does not understand it.
        Forbidden: This reader may not ask it of a type that is named, or of any.
    """
    for type_ in named:
        require(store, scope, type_)
    types = named or [type_ for type_ in known if store.access.permits(scope, type_)]
    parsed = several_now(store, types or known, query, lenient=lenient)
    queries = [each for each in parsed if named or _permitted(store, scope, each)] if types else []
    if not queries:
        raise Forbidden("This search is not permitted on any type.")
    return [permitted(store, scope, each) for each in queries]


def say_types(queries: Sequence[Query], named: Sequence[str]) -> None:
    """Let the links of a page say which types were named."""
    if named:
        for each in queries:
            each.pairs.append(("_type", ",".join(named)))


def _permitted(store: Store, scope: Scope, query: Query) -> bool:
    paths = query.paths()
    return not paths or store.access.searchable(scope, query.type, paths)
