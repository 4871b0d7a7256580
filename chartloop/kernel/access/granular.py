"""Scopes with search parameters (`patient/Observation.rs?category=laboratory`): which rows they grant, where that can be said exactly.

A parameter is enforced as a condition on the index of codes: the row must hold one of the codes of each parameter. Only reading and
searching can be granted so, and a version other than the current one never is: the index knows current versions alone.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import unquote

from chartloop.kernel.access.expression import FALSE, Attr, Const, Node, Op
from chartloop.kernel.access.folding import junction
from chartloop.kernel.access.smart_scopes import SmartScope, parse

Marks = tuple[frozenset[str], ...]
"""For each parameter the marks of which a row must hold one: "<parameter>:<hash>" in the index of codes, or "<parameter>:<kind>:<word>" of the vocabulary."""
Marker = Callable[[str, str], Marks | None]
"""Reads the parameters of a scope on a type; None where they cannot be enforced exactly."""

ACTIONS: Final = frozenset({"read", "vread", "search", "history"})
MARKS: Final = "marks"
_LETTERS: Final = frozenset("rs")


def nothing(_type: str, _query: str) -> Marks | None:
    """Enforce no parameter: for decisions without a store."""
    return None


def granular_condition(scope: SmartScope, action: str, type_: str, marker: Marker) -> Node:
    """Build the condition that the parameters of a scope put on rows; false where it cannot be enforced."""
    marks = marker(type_, scope.query) if action in ACTIONS else None
    if not marks or not all(marks):
        return FALSE
    return junction("&&", tuple(Op("containsAny", (Attr(MARKS), Const(group))) for group in marks))


def enforceable(text: str, marker: Marker) -> bool:
    """Whether a resource scope can be granted: without parameters, or with such as are enforced exactly."""
    scope = parse(text)
    if scope is None or not scope.query:
        return scope is not None
    marks = marker(scope.type, scope.query) if scope.type != "*" and set(scope.letters) <= _LETTERS else None
    return bool(marks) and all(marks or ())


def unmet(scopes: Iterable[str], action: str, type_: str, marker: Marker, *, otherwise: bool) -> Iterator[tuple[str, str]]:
    """Name the scopes with search parameters that speak of a type, each with why it does not reach a row that none of them reaches.

    Args:
        scopes: Of the token.
        action: Interaction word.
        type_: Resource type.
        marker: Reads the search parameters.
        otherwise: Whether some scope would reach the row if it had the codes that are asked for.
    """
    for text in scopes:
        scope = parse(text)
        if scope is None or not scope.query or scope.type not in {"*", type_}:
            continue
        if action not in ACTIONS:
            yield text, "search parameters grant reading and searching alone"
        elif not enforceable(text, marker):
            yield text, "its search parameters cannot be enforced exactly, so it grants nothing"
        elif otherwise:
            yield text, f"it asks for {unquote(scope.query)}, which this row does not have"


def selected(node: Node) -> Node:
    """Take for granted what granular scopes ask of a row: for rows that the row filter has let through."""
    if not isinstance(node, Op):
        return node
    if node.args and node.args[0] == Attr(MARKS):
        return Const(value=True)
    return Op(node.name, tuple(selected(arg) for arg in node.args))
