"""Composite search parameters: where their groups are, and where the components are inside one group.

A composite over several kinds of groups whose other composites are indexed anyway is stored as those: the groups of
combo-code-value-quantity are those of code-value-quantity and of component-code-value-quantity.
Spec: https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import permutations
from typing import Final, NamedTuple

from fhir_server.indexing.compiler import Group, Leaf, supported
from fhir_server.indexing.expressions import branches, parse_branch
from fhir_server.indexing.paths import Place, along, places
from fhir_server.spec.definitions import ComponentFact, SearchParameterFact, r4

_RESOURCE: Final = "%resource."
"""A component may be said from the resource instead of from its group."""


class Composite(NamedTuple):
    """A composite parameter of one type: its components, and the numbers under which its groups are indexed."""

    components: tuple[ComponentFact, ...]
    parts: tuple[int, ...]
    paths: tuple[tuple[str, ...], ...]
    """Elements that each component reads."""


class _Found(NamedTuple):
    composites: dict[str, Composite]
    groups: tuple[Group, ...]


def composites(type_: str) -> dict[str, Composite]:
    """Composite parameters of a resource type by code."""
    return _find(type_).composites


def groups_of(type_: str) -> tuple[Group, ...]:
    """Every kind of group of a resource type that is indexed."""
    return _find(type_).groups


@cache
def _find(type_: str) -> _Found:
    """Give each kind of group to the composite with the fewest kinds; the others find it there."""
    facts = [fact for fact in r4().search_parameters if fact.components and type_ in fact.bases]
    owners: dict[object, int] = {}
    found: dict[str, Composite] = {}
    groups: list[Group] = []
    for fact in sorted(facts, key=lambda fact: len(_kinds(fact, type_))):
        components = _in_order(type_, fact)
        parts = []
        for kind in _kinds(fact, type_):
            key = (kind, tuple((each.type, each.expression) for each in components))
            if key not in owners:
                owners[key] = r4().search_ids(type_)[fact.code]
                groups += _groups(type_, owners[key], kind, components)
            parts.append(owners[key])
        paths = tuple(tuple(dict.fromkeys(_paths(type_, fact, each))) for each in components)
        found[fact.code] = Composite(components, tuple(dict.fromkeys(parts)), paths)
    return _Found(found, tuple(groups))


def _kinds(fact: SearchParameterFact, type_: str) -> list[str]:
    return [text for text in branches(fact.expression) if text.partition(".")[0] == type_]


def _in_order(type_: str, fact: SearchParameterFact) -> tuple[ComponentFact, ...]:
    """Components with the expressions that have values of their types; those of DocumentReference-relationship are published crosswise."""
    expressions = [each.expression for each in fact.components]
    for order in permutations(expressions):
        components = tuple(each._replace(expression=text) for each, text in zip(fact.components, order, strict=True))
        if all(_groups(type_, 0, kind, components) for kind in _kinds(fact, type_)):
            return components
    return fact.components


def _groups(type_: str, param: int, kind: str, components: Sequence[ComponentFact]) -> list[Group]:
    groups = []
    for place in places(r4(), type_, parse_branch(kind) or ()):
        leaves = tuple(tuple(_leaves(type_, place, each)) for each in components)
        if all(leaves):
            groups.append(Group(param, place.ops, leaves, tuple(each.expression.startswith(_RESOURCE) for each in components)))
    return groups


def _leaves(type_: str, group: Place, component: ComponentFact) -> Iterator[Leaf]:
    start = Place((), type_, type_) if component.expression.startswith(_RESOURCE) else replace(group, ops=())
    for text in branches(component.expression):
        for place in along(r4(), start, parse_branch(text.removeprefix(_RESOURCE)) or ()):
            leaf = Leaf(0, component.type, place)
            if place.ops and supported(leaf):
                yield leaf


def _paths(type_: str, fact: SearchParameterFact, component: ComponentFact) -> Iterator[str]:
    for text in branches(component.expression):
        steps = parse_branch(text.removeprefix(_RESOURCE)) or ()
        names = [step.argument for step in steps if step.kind == "child"]
        for kind in [type_] if text.startswith(_RESOURCE) else _kinds(fact, type_):
            yield ".".join([kind, *names])
