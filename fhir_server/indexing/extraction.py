"""Extract the search values of a resource.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from fhir_server.indexing.compiler import Extractor, compile_extractor
from fhir_server.indexing.composites import groups_of
from fhir_server.search.params import leaves_of


class IndexValues(NamedTuple):
    """Rows per kind of index, without duplicates; the first column is the search parameter's id."""

    tokens: list[tuple[int, str, str]]
    strings: list[tuple[int, str, str]]
    dates: list[tuple[int, int, int]]
    references: list[tuple[int, str, str, str]]
    quantities: list[tuple[int, str, str, float, float, str]]
    uris: list[tuple[int, str]]
    numbers: list[tuple[int, float, float, str]]
    composites: list[tuple[Any, ...]]
    positions: list[tuple[int, float, float]]
    marks: list[tuple[int, str, str]]


def extract(type_: str, resource: Mapping[str, Any], *, base: str = "", custom: Extractor | None = None) -> IndexValues:
    """All search values of a valid resource, each once.

    Rows: tokens (param, system, code), strings (param, folded, original), dates (param, low µs, high µs, half open),
    references (param, type, id, original; no id where it points elsewhere), quantities (param, system, code, low, high,
    exact value), uris (param, value), numbers (param, low, high, exact value), composites (param, kinds of the components, a
    row of each component, with 0 for its param), positions (param, latitude, longitude), marks
    (param, kind, text): what stands beside a token, a folded text or an identifier with its type.

    Args:
        type_: Resource type.
        resource: The parsed resource; it has passed validation.
        base: Base URL of this server without a slash at its end: absolute references under it count as relative.
        custom: Extractor of the parameters that SearchParameter resources define for the type, if there are any.
    """
    return unique(extracted(type_, resource, base, custom))


def extracted(type_: str, resource: Mapping[str, Any], base: str, custom: Extractor | None) -> IndexValues:
    """The same, and perhaps one of them twice: for whoever makes sets of them."""
    values = IndexValues([], [], [], [], [], [], [], [], [], [])
    _extractor(type_)(resource, *values, base)
    if custom is not None:
        custom(resource, *values, base)
    return values


def unique(values: IndexValues) -> IndexValues:
    """Take out what is there twice."""
    return IndexValues(*(rows if len(rows) < 2 else list(dict.fromkeys(rows)) for rows in values))  # type: ignore[arg-type]


@cache
def _extractor(type_: str) -> Extractor:
    return compile_extractor(f"extract_{type_}", leaves_of(type_), groups_of(type_))
