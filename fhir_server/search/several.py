"""One query string over several types: every type must understand it; pure.

Spec: https://hl7.org/fhir/R4/http.html#search
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Sequence
from typing import Final
from urllib.parse import urlencode

from chartloop.kernel.errors import Invalid, Issue
from fhir_server.search.criteria import ParamsOf
from fhir_server.search.query import pairs_of, parse
from fhir_server.search.tree import Query
from fhir_server.type_ids import TYPE_IDS

SEARCHED: Final = tuple(each for each in TYPE_IDS if each != "AuditEvent")
"""AuditEvents are no stored resources."""


def named_types(query: str, known: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Split `_type` from a query string: the types it names, each once, and the rest; no types where there is no `_type`.

    Raises:
        Invalid: The query cannot be read, or names what is not among the known types.
    """
    pairs = pairs_of(query)
    types = tuple(dict.fromkeys(each.strip() for name, value in pairs if name == "_type" for each in value.split(",")))
    unknown = next((each for each in types if each not in known), None)
    if unknown is not None:
        text = f"{unknown[:64]!r} is no type that can be searched here."
        raise Invalid(issues=(Issue("error", "value", text, "http._type"),))
    return types, urlencode([(name, value) for name, value in pairs if name != "_type"])


def nothing(_type: str) -> Container[str]:
    """No parameter is being indexed."""
    return ()


def parse_several(types: Sequence[str], query: str, params_of: ParamsOf, *, base: str = "", lenient: bool = False, filling: Callable[[str], Container[str]] = nothing) -> list[Query]:
    """Parse a query string for each of some types; what one of them does not know is unknown.

    Raises:
        Invalid: As `parse`; or two types order by values of different kinds.
    """
    queries = [parse(each, query, params_of, base=base, lenient=lenient, filling=filling(each), among=types) for each in types]
    ignored = list(dict.fromkeys(name for each in queries for name in each.ignored))
    if any(each.ignored != ignored for each in queries):
        rest = urlencode([(name, value) for name, value in pairs_of(query) if name not in ignored])
        queries = [parse(each, rest, params_of, base=base, filling=filling(each), among=types) for each in types]
    for each in queries:
        each.ignored = ignored
    for keys in zip(*(each.sort for each in queries), strict=True):
        if len({key.param.type for key in keys}) > 1:
            text = f"{keys[0].param.code} is not of one kind in all of these types, so they have no common order."
            raise Invalid(issues=(Issue("error", "not-supported", text, "http._sort"),))
    return queries

