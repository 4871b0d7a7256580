"""One parameter name to a criterion or a chain: `subject:Patient.name`, `_has:Observation:patient:code`, and both in one.

A hop without a type stands for every type of the reference's targets that has the next parameter. Canonical addresses and
contained resources are not followed, and AuditEvents are no stored resources.
Spec: https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from fhir_server.search.criteria import ParamsOf, Refusal, read_criterion, searchable_params
from fhir_server.search.params import SearchParam, holds_references
from fhir_server.search.tree import Branch, Chain, Junction, Node
from fhir_server.type_ids import TYPE_IDS

MAX_DEPTH: Final = 3
MAX_TYPES: Final = 10
"""Most types that one hop may stand for."""
MAX_ENDS: Final = 24
"""Most criteria that one chained parameter may stand for."""

_HAS: Final = "_has:"
_NOT_STORED: Final = frozenset({"AuditEvent"})
_TOO_DEEP: Final = Refusal("too-costly", f"A chain has at most {MAX_DEPTH} links.")

Read = Node | Refusal | None
End = Callable[[str, SearchParam, str], Node | Refusal]
"""Reads the last parameter of a path: type, parameter, modifier."""


class _Rest(NamedTuple):
    """What is the same at every hop."""

    end: End
    params_of: ParamsOf


def read_parameter(type_: str, name: str, value: str, params_of: ParamsOf, base: str) -> Read:
    """Read one `name=value` of a search on a type; None where the type, or one on the way, has no such parameter."""
    return read_path(type_, name, lambda _, param, modifier: read_criterion(param, modifier, value, base), params_of)


def read_path(type_: str, name: str, end: End, params_of: ParamsOf) -> Read:
    """Read the name of a parameter, with the hops before it; None where the type, or one on the way, has no such parameter."""
    read = _read(type_, name, _Rest(end, params_of), MAX_DEPTH)
    if isinstance(read, Chain) and _ends(read) > MAX_ENDS:
        return Refusal("too-costly", "This chain leads to too many types; say which, as in subject:Patient.name.")
    return read


def _read(type_: str, name: str, rest: _Rest, depth: int) -> Read:
    if name.startswith(_HAS):
        return _reverse(type_, name, rest, depth)
    head, dot, tail = name.partition(".")
    code, colon, modifier = head.partition(":")
    if colon and not modifier:
        return Refusal("not-supported", f"Behind {code[:64]}: a modifier or a type is missing.")
    param = searchable_params(type_, rest.params_of).get(code)
    if param is None:
        return None
    return _forward(type_, param, modifier, tail, rest, depth) if dot else rest.end(type_, param, modifier)


def _forward(type_: str, param: SearchParam, target: str, name: str, rest: _Rest, depth: int) -> Read:
    """Follow a reference: `code.name` or `code:Type.name`."""
    if param.type != "reference" or not holds_references(type_, param):
        return Refusal("not-supported", f"{param.code} of {type_} holds no references to follow.")
    if target and target not in param.targets:
        return Refusal("not-supported", f"{param.code} of {type_} leads to no {target[:64]}.")
    targets = (target,) if target else param.targets
    if depth == 0:
        return _TOO_DEEP
    if len(targets) > MAX_TYPES:
        return Refusal("too-costly", f"{param.code} leads to {len(targets)} types; say which, as in {param.code}:{targets[-1]}.")
    branches = []
    for each in targets:
        inner = None if each in _NOT_STORED else _read(each, name, rest, depth - 1)
        if isinstance(inner, Refusal):
            return inner
        if inner is not None:
            branches.append(Branch(each, inner))
    return Chain(param, tuple(branches)) if branches else None


def _reverse(type_: str, name: str, rest: _Rest, depth: int) -> Read:
    """Follow a reference against its direction: `_has:Source:code:name`."""
    source, _, tail = name.removeprefix(_HAS).partition(":")
    code, colon, inner_name = tail.partition(":")
    if not colon or not inner_name or source not in TYPE_IDS or source in _NOT_STORED:
        return Refusal("not-supported", "_has takes _has:Source:reference:parameter, of a type that is stored here.")
    param = rest.params_of(source).get(code)
    if param is None or param.type != "reference" or type_ not in param.targets or not holds_references(source, param):
        return Refusal("not-supported", f"{source[:64]}:{code[:64]} holds no references to {type_}.")
    if depth == 0:
        return _TOO_DEEP
    inner = _read(source, inner_name, rest, depth - 1)
    return inner if inner is None or isinstance(inner, Refusal) else Chain(param, (Branch(source, inner),), reverse=True)


def _ends(node: Node) -> int:
    if isinstance(node, Junction):
        return sum(map(_ends, node.parts))
    return sum(_ends(branch.inner) for branch in node.branches) if isinstance(node, Chain) else 1
