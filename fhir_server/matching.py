"""Conditional criteria: which resources match, under the scope, and that nobody makes one in between.

Spec: https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

from urllib.parse import urlencode

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session, Tx
from chartloop.kernel.errors import Forbidden, Invalid, PreconditionFailed
from fhir_server.hashing import value_hash
from fhir_server.search.hops import permitted_chain, permitted_junction, settled
from fhir_server.search.lists import require_lists
from fhir_server.search.parsing import parsed_now
from fhir_server.search.planner import plan
from fhir_server.search.query import PARAMETERS_OF_RESULTS
from fhir_server.search.tree import Query
from fhir_server.store import Store, acting, require
from fhir_server.writing import Stale


def criteria(store: Store, scope: Scope, type_: str, query: str) -> Query:
    """Parse conditional criteria; a reader may not match on elements that are hidden."""
    searching = acting(scope, "search")
    require(store, searching, type_)
    parsed = parsed_now(store, type_, query)
    if not (parsed.filters or parsed.lists) or any(name in PARAMETERS_OF_RESULTS for name, _ in parsed.pairs):
        raise Invalid("A condition needs at least one search parameter, and only search parameters.")
    paths = parsed.paths()
    if paths and not store.access.searchable(searching, type_, paths):
        raise Forbidden("This condition uses elements that are hidden from you.")
    parsed.chains = [permitted_chain(store, searching, type_, chain) for chain in parsed.chains]
    parsed.junctions = [permitted_junction(store, searching, type_, junction) for junction in parsed.junctions]
    require_lists(store, searching, parsed)
    return parsed


def matches(session: Session, store: Store, scope: Scope, query: Query, most: int = 2) -> list[int]:
    """Find some matches: two are enough to know that there are several."""
    searching = acting(scope, "search")
    if query.known != store.parameters.now.version:
        query = criteria(store, scope, query.type, urlencode(query.pairs))
    plain = settled(session, store, searching, query)
    found = plan(session, plain, store.access.row_filter(searching, query.type)).rows(session, None, None, most)
    return [int(str(row[-1])) for row in found]


def single(session: Session, store: Store, scope: Scope, query: Query) -> int | None:
    """Find the one match, if any."""
    found = matches(session, store, scope, query)
    if len(found) > 1:
        raise PreconditionFailed("The condition matches more than one resource.", code="multiple-matches")
    return found[0] if found else None


def to_delete(session: Session, store: Store, scope: Scope, query: Query) -> list[int]:
    """Find what a conditional delete takes: the one match, or as many as the operator allows."""
    found = matches(session, store, scope, query, store.delete_most + 1)
    if len(found) <= store.delete_most:
        return sorted(found)
    if store.delete_most == 1:
        raise PreconditionFailed("The condition matches more than one resource.", code="multiple-matches")
    raise PreconditionFailed(f"The condition matches more than {store.delete_most} resources; nothing was deleted.", code="too-costly")


def verify_to_delete(tx: Tx, store: Store, scope: Scope, query: Query, found: list[int]) -> None:
    """See, under lock, that a conditional delete still takes what it found."""
    lock(tx, [lock_key(query)])
    if to_delete(tx, store, scope, query) != found:
        raise Stale


def verify_match(tx: Tx, store: Store, scope: Scope, query: Query, found: int | None) -> None:
    """See, under lock, that a condition still finds what it found."""
    lock(tx, [lock_key(query)])
    if single(tx, store, scope, query) != found:
        raise Stale


def lock_key(query: Query) -> int:
    """Hash what a condition says, whatever the order of its parts."""
    parts = sorted(f"{name}={value}" for name, value in query.pairs)
    return value_hash("\n".join([query.type, *parts]))


def lock(tx: Tx, keys: list[int]) -> None:
    """Keep others with the same conditions out until this transaction ends; SQLite has one writer anyway."""
    if tx.dialect == "postgresql":
        for key in sorted(set(keys)):
            tx.one("SELECT pg_advisory_xact_lock(?)", (key,))
