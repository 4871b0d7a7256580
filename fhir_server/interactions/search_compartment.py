"""FHIR search interaction in a compartment: on one type, or on every type (`*`) that can be in it.

The resource that the compartment is about is looked for as a read looks for it. A reference that is hidden from this
reader puts nothing into the compartment.
Spec: https://hl7.org/fhir/R4/http.html#search, https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Invalid
from fhir_server.auditing import refusals_audited
from fhir_server.interactions.search_system import say_types, several
from fhir_server.rows import Row, current, living
from fhir_server.search.params import for_type
from fhir_server.search.several import SEARCHED, named_types
from fhir_server.search.tree import ID, Criterion, Query
from fhir_server.search.values import ReferenceTo, Token
from fhir_server.searching import Asked, answer
from fhir_server.spec.definitions import r4
from fhir_server.store import Page, Store, acting, require
from fhir_server.type_ids import TYPE_IDS

EVERY: Final = "*"
COMPARTMENTS: Final = ("Device", "Encounter", "Patient", "Practitioner", "RelatedPerson")
_ITSELF: Final = "{def}"


def search_compartment(store: Store, scope: Scope, place: tuple[str, str, str], query: str, *, lenient: bool = False) -> Page:
    """Return one page, after the audit record that lists what is on it is durable.

    Args:
        store: The store.
        scope: Who asks.
        place: Type and id of what the compartment is about, and the type to look for, or `*`.
        query: What a client sent; with `*` it may name types by `_type`.
        lenient: Ignore unknown parameters.
    """
    scope, address = acting(scope, "search"), "/".join(place)
    with refusals_audited(store, scope, address, query):
        about, id_, _ = place
        focus = _focus(store, acting(scope, "read"), about, id_)
        members = _members(about)

        def ask() -> Asked:
            queries = queries_in_compartment(store, scope, place, query, lenient=lenient)
            ways = {each.type: _ways(store, scope, each.type, focus, members[each.type]) for each in queries}
            return Asked(address, queries, ways, (focus.patient,))

        page, said = answer(store, scope, ask, query)
    store.audit.access(said)
    return page


def queries_in_compartment(store: Store, scope: Scope, place: tuple[str, str, str], query: str, *, lenient: bool = False) -> list[Query]:
    """Parse a search in a compartment and refuse what this subject may not ask; what it is about is not looked for."""
    about, _, wanted = place
    members = _members(about)
    if wanted != EVERY and wanted not in members:
        raise Invalid(f"{wanted} is never in the compartment of a {about}.", code="not-supported")
    named, rest = named_types(query, members) if wanted == EVERY else ((wanted,), query)
    queries = several(store, scope, named, list(members), rest, lenient=lenient)
    if wanted == EVERY:
        say_types(queries, named)
    return queries


def is_place(about: str, wanted: str) -> bool:
    """Whether there is an address below which some type, or `*`, can be searched for."""
    return about in COMPARTMENTS and wanted in (*TYPE_IDS, EVERY)


def _members(about: str) -> dict[str, Sequence[str]]:
    return {type_: codes for type_, codes in r4().compartment(about).items() if type_ in SEARCHED}


def _focus(store: Store, scope: Scope, type_: str, id_: str) -> Row:
    require(store, scope, type_)
    return living(current(store.db, type_, id_, store.access.row_filter(scope, type_)))


def _ways(store: Store, scope: Scope, type_: str, focus: Row, codes: Sequence[str]) -> list[Criterion]:
    """List the criteria that put a resource into the compartment: references to what it is about, or being it."""
    ways = [Criterion(ID, (Token(None, focus.id),))] if _ITSELF in codes and type_ == focus.type else []
    params = (param for code, param in for_type(type_).items() if code in codes and param.type == "reference")
    shown = (param for param in params if store.access.searchable(scope, type_, param.paths))
    return [*ways, *(Criterion(param, (ReferenceTo(focus.type, focus.id, ""),)) for param in shown)]
