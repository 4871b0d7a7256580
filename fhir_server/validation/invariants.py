"""All invariants of R4, evaluated where they stand: what is broken, what could not be decided, and where.

Spec: https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from chartloop.kernel.errors import Issue
from fhir_server.fhirpath.engine import ALONE, Expression, compile  # noqa: A004
from fhir_server.fhirpath.errors import FHIRPathError, TooCostly
from fhir_server.fhirpath.parts import Part, is_fhir_type, resource_part
from fhir_server.fhirpath.run import Budget, Run
from fhir_server.spec.definitions import Constraint, Element, r4
from fhir_server.validation.published import CORRECTIONS, HOLD_WHEN_EMPTY

CONTAINERS: Final = frozenset({"Bundle.entry.resource", "Bundle.entry.response.outcome", "Parameters.parameter.resource"})
"""Elements whose resources stand on their own; others are part of the resource that contains them."""


MAX_STEPS: Final = 5_000_000
"""Steps that the invariants of one resource may take together."""


class Invariant(NamedTuple):
    """A constraint and its compiled expression."""

    constraint: Constraint
    expression: Expression


class _Around(NamedTuple):
    """The resource that an element is in, the one that contains that, and the steps that are left for all of it."""

    resource: Part
    root: Part
    budget: Budget


def invariant_issues(resource: Mapping[str, Any], path: str = "") -> Iterator[Issue]:
    """What the invariants say of a resource whose structure is right.

    Errors and warnings for those that are broken, information for those that could not be decided.
    """
    part = resource_part(resource)
    try:
        yield from _resource(part, path or part.type, part, Budget(MAX_STEPS))
    except TooCostly:
        yield Issue("error", "too-costly", "the invariants of this resource take too many steps", path or part.type)


def invariant_errors(resource: Mapping[str, Any], path: str = "") -> Iterator[Issue]:
    """The errors among them."""
    return (issue for issue in invariant_issues(resource, path) if issue.severity == "error")


def _resource(part: Part, path: str, root: Part, budget: Budget) -> Iterator[Issue]:
    if is_fhir_type(part.type) and isinstance(part.value, dict):
        yield from _node(part, part.type, path, _Around(part, root, budget), invariants_of(part.type))


def _node(part: Part, node: str, path: str, around: _Around, invariants: tuple[Invariant, ...]) -> Iterator[Issue]:
    for invariant in invariants:
        yield from _judged(invariant, part, path, around)
    owner = part.value if isinstance(part.value, dict) else part.extra
    if not isinstance(owner, dict):
        return
    node = node if isinstance(part.value, dict) else "Element"
    for element in r4().elements(node):
        for key, type_ in element.json_types().items():
            if key in owner or "_" + key in owner:
                yield from _element(owner, key, element, type_, f"{path}.{element.name.removesuffix('[x]')}", node, around)


def _element(owner: Mapping[str, Any], key: str, element: Element, type_: str, path: str, node: str, around: _Around) -> Iterator[Issue]:
    values, extras = owner.get(key), owner.get("_" + key)
    if element.many:
        count = max(len(held) if isinstance(held, list) else 0 for held in (values, extras))
        pairs = [(_at(values, index), _at(extras, index), f"{path}[{index}]") for index in range(count)]
    else:
        pairs = [(values, extras, path)]
    for value, extra, where in pairs:
        if type_ == "Resource":
            inner = resource_part(value) if isinstance(value, dict) else Part("Resource", value)
            yield from _resource(inner, where, inner if f"{node}.{element.name}" in CONTAINERS else around.root, around.budget)
        elif value is not None or extra is not None:
            part = Part(element.node or type_, value, extra)
            yield from _node(part, part.type, where, around, invariants_at(f"{node}.{element.name}", part.type))


def _at(held: object, index: int) -> Any:
    return held[index] if isinstance(held, list) and index < len(held) else None


def _judged(invariant: Invariant, part: Part, path: str, around: _Around) -> Iterator[Issue]:
    constraint = invariant.constraint
    text = f"{constraint.key}: {constraint.human}"
    run = Run(ALONE, part, around.resource, around.root, around.budget)
    try:
        found = invariant.expression.run(run)
    except TooCostly:
        raise
    except FHIRPathError:
        yield Issue("information", "not-supported", f"{text} (this could not be computed here: not checked)", path)
        return
    if not found and run.undecided:
        yield Issue("information", "incomplete", f"{text} (the precision or the units do not tell: not checked)", path)
    elif found != [True] and not (not found and constraint.key in HOLD_WHEN_EMPTY):
        yield Issue(constraint.severity, "invariant", text, path)
    elif run.unresolved:
        yield Issue("information", "incomplete", f"{text} (a reference leads elsewhere: not checked)", path)


def is_broken(invariant: Invariant, part: Part, resource: Part, root: Part) -> bool:
    """Whether an invariant is broken for a part of a resource; not, where it could not be decided."""
    try:
        return _breaks(invariant, part, resource, root)
    except TooCostly:
        return True  # for all of the resource, this is said where the errors are collected


def _breaks(invariant: Invariant, part: Part, resource: Part, root: Part) -> bool:
    return any(issue.severity == "error" for issue in _judged(invariant, part, "", _Around(resource, root, Budget(MAX_STEPS))))


@cache
def invariants_of(type_: str) -> tuple[Invariant, ...]:
    """The invariants of every value of a type, and those of the types that it specializes."""
    base = r4().base(type_)
    return (*(invariants_of(base) if base else ()), *_compiled(type_))


@cache
def invariants_at(path: str, type_: str) -> tuple[Invariant, ...]:
    """The invariants of an element: those of its type and those of its place."""
    backbone = "." in type_
    inherited = invariants_of("Element") if backbone else invariants_of(type_)
    return (*inherited, *_compiled(type_ if backbone else path), *(_compiled(path) if backbone and path != type_ else ()))


@cache
def _compiled(path: str) -> tuple[Invariant, ...]:
    return tuple(Invariant(each, expression_of(each)) for each in r4().constraints(path))


def expression_of(constraint: Constraint) -> Expression:
    """The compiled expression of a constraint, corrected where the published one is known to be wrong."""
    correction = CORRECTIONS.get(constraint.key)
    return compile(correction.expression if correction else constraint.expression, published=True)
