"""The expression of a SearchParameter resource to leaves of the index, or the position of what cannot be expressed.

Whoever can extract more than the subset does so here: what raises NotExpressible now is what a FHIRPath engine would take over.
Spec: https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from fhir_server.indexing.compiler import Extractor, Leaf, compile_extractor, supported
from fhir_server.indexing.expressions import Step, operands, parse_branch, unread
from fhir_server.indexing.paths import Place, advance
from fhir_server.spec.definitions import r4

MAX_EXPRESSION: Final = 4_000
MAX_STEPS: Final = 12
MAX_PLACES: Final = 500
"""Most concrete paths of one expression: a choice of any type, inside another one, has thousands."""

_ABSTRACT: Final = frozenset({"Resource", "DomainResource"})


class NotExpressible(Exception):
    """The subset cannot express this."""

    def __init__(self, position: int, text: str) -> None:
        """Say what, and where it begins: the first character is 1."""
        super().__init__(text)
        self.position = position + 1
        self.text = text


@lru_cache(maxsize=4096)
def custom_leaves(type_: str, number: int, kind: str, expression: str) -> tuple[Leaf, ...]:
    """Every concrete path of an expression that is about a type, and can be indexed as this kind of parameter.

    Raises:
        NotExpressible: A part of it is outside the subset, leads nowhere, or holds what cannot be indexed so.
    """
    if len(expression) > MAX_EXPRESSION:
        raise NotExpressible(MAX_EXPRESSION, f"An expression has at most {MAX_EXPRESSION} characters.")
    leaves: list[Leaf] = []
    for start, text in operands(expression):
        for place in _places(type_, start, text):
            leaf = Leaf(number, kind, place)
            if supported(leaf):
                leaves.append(leaf)
    if len(leaves) > MAX_PLACES:
        raise NotExpressible(0, f"This expression stands for more than {MAX_PLACES} paths; say which type a choice has.")
    if not leaves:
        raise NotExpressible(0, f"Nothing that this finds in {type_} can be indexed as {kind}.")
    return tuple(leaves)


@lru_cache(maxsize=4096)
def custom_paths(type_: str, expression: str) -> tuple[str, ...]:
    """The elements that an expression reads, for example Patient.extension.value and Patient.extension.url."""
    found: dict[str, None] = {}
    for _, text in operands(expression):
        path = [type_]
        for step in _rooted(type_, parse_branch(text) or ())[1:]:
            if step.kind == "child":
                path.append(step.argument)
            elif step.kind == "where":
                found[".".join([*path, step.argument])] = None
        if len(path) > 1:
            found[".".join(path)] = None
    return tuple(found)


def custom_targets(leaves: Sequence[Leaf]) -> tuple[str, ...]:
    """The types that references at these places may lead to."""
    return tuple(sorted({target for leaf in leaves if leaf.place.element for target in leaf.place.element.targets}))


def custom_extractor(type_: str, leaves: Sequence[Leaf]) -> Extractor:
    """Compile the extraction of all parameters that a type has got."""
    return compile_extractor(f"custom_{type_}", leaves)


def _rooted(type_: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps of an operand from the type on; none where it is about another type."""
    if steps and steps[0].argument[:1].islower():
        steps = (Step("child", type_), *steps)
    return steps if steps and steps[0].argument in (type_, *_ABSTRACT) else ()


def _places(type_: str, start: int, text: str) -> list[Place]:
    steps = parse_branch(text)
    if steps is None or not steps or steps[0].kind != "child":
        end = unread(text) if steps is None else 0
        raise NotExpressible(start + end, f"{text[end : end + 60]!r} is not supported here.")
    rooted = _rooted(type_, steps)
    if not rooted:
        if not r4().is_resource(steps[0].argument):
            raise NotExpressible(start, f"{steps[0].argument!r} is no resource type.")
        return []
    if len(rooted) > MAX_STEPS:
        raise NotExpressible(start, f"A path has at most {MAX_STEPS} steps.")
    found = [Place((), type_, type_)]
    for step in rooted[1:]:
        found = [after for before in found if _may(before, step) for after in advance(r4(), before, step)]
        if not found:
            raise NotExpressible(start, f"{text[:200]!r}: {_said(step)} leads nowhere.")
        if len(found) > MAX_PLACES:
            raise NotExpressible(start, f"{text[:200]!r} stands for more than {MAX_PLACES} paths; say which type a choice has.")
    return found


def _may(place: Place, step: Step) -> bool:
    """Whether a step can be taken here: what the generated code takes for granted."""
    if step.kind == "where":
        known = r4().elements(place.node) if r4().has_elements(place.node) else ()
        return any(each.name == step.argument and not each.many and set(each.types) <= r4().primitive_types for each in known)
    if step.kind == "resolve":
        return place.type == "Reference"
    return step.kind != "true" or len(place.ops) == 1


def _said(step: Step) -> str:
    return f"{step.kind}({step.argument})" if step.kind in ("where", "as", "resolve") else f"{step.argument or step.kind!r}"
