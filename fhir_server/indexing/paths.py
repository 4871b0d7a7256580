"""Resolve parsed search expressions against the definitions: concrete JSON paths that end in one data type.

Spec: https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fhir_server.indexing.expressions import Step
from fhir_server.spec.definitions import Definitions, Element


class Op(NamedTuple):
    """One operation on the way down: key (name), many (name), first (name), where (name, literal), resolve (type)."""

    kind: str
    name: str
    literal: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path has come to: the operations so far and the type there."""

    ops: tuple[Op, ...]
    type: str
    node: str
    element: Element | None = None
    system: str = ""
    true: bool = False


def places(definitions: Definitions, type_: str, steps: Sequence[Step]) -> list[Place]:
    """All concrete paths of one union operand for one resource type; empty where it is about another type."""
    if not steps or steps[0].kind != "child" or steps[0].argument not in (type_, "Resource", "DomainResource"):
        return []
    return along(definitions, Place((), type_, type_), steps[1:])


def along(definitions: Definitions, start: Place, steps: Sequence[Step]) -> list[Place]:
    """All concrete paths from a place."""
    found = [start]
    for step in steps:
        found = [after for before in found for after in advance(definitions, before, step)]
    return found


def advance(definitions: Definitions, place: Place, step: Step) -> Iterator[Place]:
    """Where one step leads; an index is only used for the first resource in a Bundle."""
    if step.kind == "child":
        yield from _children(definitions, place, step.argument)
    elif step.kind == "as":
        if place.type in (step.argument, step.argument[:1].lower() + step.argument[1:]):  # R4 writes DateTime too
            yield place
    elif step.kind == "index":
        if step.argument == "0" and place.ops[-1:] == (Op("many", "entry"),):
            yield replace(place, ops=(*place.ops[:-1], Op("first", "entry")))
    elif step.kind == "true":
        yield replace(place, true=True)
    elif step.kind in ("where", "resolve"):
        yield replace(place, ops=(*place.ops, Op(step.kind, step.argument, step.literal)))


def _children(definitions: Definitions, place: Place, name: str) -> Iterator[Place]:
    for element in definitions.elements(place.node) if definitions.has_elements(place.node) else ():
        kind = "many" if element.many else "key"
        for json_name, type_ in element.json_types().items():
            # A choice is named as a whole (value) or by one of its types (valueDateTime).
            named = name in (element.name.removesuffix("[x]"), json_name)
            if named and (type_ != "Resource" or place.ops[-1:] == (Op("first", "entry"),)):
                yield Place((*place.ops, Op(kind, json_name)), type_, element.node or type_, element, _system(element))


def _system(element: Element) -> str:
    """The code system that a bound code belongs to, if there is only one."""
    codes = element.value_set.codes if element.value_set else None
    return next(iter(codes)) if codes and len(codes) == 1 else ""
