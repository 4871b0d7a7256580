"""`_filter`: its syntax tree lowered to the conditions that every search is made of.

Not answered, and refused with its position: brackets behind a name (`related[type eq x].target`), modifiers, what the index
does not hold (filter_operators.py), and concepts by subsumption or value set where no terminology answers them.
Spec: https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from fhir_server.search.chains import read_path
from fhir_server.search.criteria import ParamsOf, Refusal
from fhir_server.search.filter_operators import read_comparison
from fhir_server.search.filter_syntax import Comparison, Filter, FilterError, read_filter_text
from fhir_server.search.tree import Criterion, Junction, Node

FILTER: Final = "_filter"

_MERGED: Final = frozenset({"", "eq", "ew", "contains"})
"""Modifiers under which alternatives of one parameter are one criterion with several values."""


class _Context(NamedTuple):
    type: str
    params_of: ParamsOf
    base: str


def read_filter(type_: str, _name: str, text: str, params_of: ParamsOf, base: str) -> Node | Refusal:
    """Read a filter on a type."""
    try:
        return _lowered(read_filter_text(text), _Context(type_, params_of, base))
    except FilterError as error:
        return Refusal(error.code, str(error))


def _lowered(node: Filter, context: _Context) -> Node:
    if isinstance(node, Comparison):
        return _comparison(node, context)
    parts = tuple(_lowered(part, context) for part in node.parts)
    if node.word == "or":
        parts = _merged(parts)
    return parts[0] if len(parts) == 1 and node.word != "not" else Junction(node.word, parts)


def _comparison(node: Comparison, context: _Context) -> Node:
    path = ".".join(step.name for step in node.path)
    if any(step.within is not None for step in node.path):
        raise FilterError(f"Brackets behind a name ({path[:64]}) are not supported", node.position, "not-supported")
    read = read_path(context.type, path, partial(read_comparison, node.operator, node.value, context.base), context.params_of)
    if read is None:
        raise FilterError(f"Parameter {path[:64]!r} is not supported for {context.type}, before the operator", node.position, "not-supported")
    if isinstance(read, Refusal):
        raise FilterError(f"{read.text.rstrip('.')} (operator {node.operator})", node.position, read.code)
    return read


def _merged(parts: tuple[Node, ...]) -> tuple[Node, ...]:
    """Make alternatives of one parameter one criterion: a list can drive a search, and is probed at once."""
    merged: dict[object, Node] = {}
    for place, part in enumerate(parts):
        if not isinstance(part, Criterion) or part.missing is not None or part.modifier not in _MERGED:
            merged[place] = part
            continue
        key = (part.param, part.modifier)
        known = merged.get(key)
        merged[key] = replace(part, values=(*known.values, *part.values)) if isinstance(known, Criterion) else part
    return tuple(merged.values())
