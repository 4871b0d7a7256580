"""The thorough pass: walk a parsed resource along the definitions and collect every error with its FHIRPath expression.

Texts never repeat a value: an outcome may be logged or shown to others than the sender.
Spec: https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from chartloop.kernel.errors import Issue
from fhir_server.spec.definitions import Element, r4
from fhir_server.validation.primitives import primitive_problem
from fhir_server.validation.references import reference_problem

MAX_ISSUES = 100


class _Rule(NamedTuple):
    element: Element
    type: str
    primitive: bool

    @property
    def name(self) -> str:
        """FHIRPath name: `value` for valueQuantity."""
        return self.element.name.removesuffix("[x]")


def _error(code: str, text: str, expression: str) -> Issue:
    return Issue("error", code, text, expression)


def resource_errors(resource: object, path: str = "", *, contained: bool = False) -> Iterator[Issue]:
    """Every error of a resource; `path` is where it is, when it is inside another."""
    if not isinstance(resource, dict):
        yield _error("structure", "a resource must be an object", path)
        return
    name = resource.get("resourceType")
    if not isinstance(name, str) or not r4().is_resource(name):
        yield _error("structure", "resourceType must name an R4 resource type", f"{path}.resourceType" if path else "resourceType")
        return
    path = path or name
    yield from node_errors(resource, name, path)
    if contained:
        yield from _contained_errors(resource, path)


def _contained_errors(resource: Mapping[str, Any], path: str) -> Iterator[Issue]:
    if "contained" in resource:
        yield _error("invariant", "dom-2: a contained resource must not contain another", f"{path}.contained")
    meta = resource.get("meta")
    if isinstance(meta, dict):
        for key in ("versionId", "lastUpdated"):
            if key in meta:
                yield _error("invariant", f"dom-4: a contained resource must not have meta.{key}", f"{path}.meta.{key}")


def node_errors(value: object, node: str, path: str, targets: tuple[str, ...] = ()) -> Iterator[Issue]:
    """Every error of an object of one type."""
    if not isinstance(value, dict):
        yield _error("structure", "must be an object", path)
        return
    if not value:
        yield _error("structure", "an object must not be empty", path)
        return
    rules = _rules(node)
    for key in value:
        rule = rules.get(key.removeprefix("_"))
        if key == "resourceType" and r4().is_resource(node):
            continue
        if rule is None or (key[0] == "_" and not rule.primitive):
            yield _error("structure", f"{node} has no such element", f"{path}.{_shown(key)}")
        elif key[0] != "_":
            yield from _element_errors(value, key, rule, path, targets)
        elif key[1:] not in value:
            yield from _sibling_errors(value, key, rule, f"{path}.{rule.name}")
    yield from _count_errors(value, node, path)
    if node == "Extension" and ("extension" in value) == any(key.lstrip("_").startswith("value") for key in value):
        yield _error("invariant", "ext-1: an extension has either a value or extensions", path)


def _shown(key: str) -> str:
    """Names come from the sender: show them only where they look like names."""
    return key if key.replace("_", "").isalnum() and len(key) <= 64 else "?"


@cache
def _rules(node: str) -> dict[str, _Rule]:
    primitives = r4().primitive_types
    return {name: _Rule(element, type_, type_ in primitives) for element in r4().elements(node) for name, type_ in element.json_types().items()}


def _count_errors(value: Mapping[str, Any], node: str, path: str) -> Iterator[Issue]:
    for element in r4().elements(node):
        present = [name for name in element.json_types() if name in value or "_" + name in value]
        where = f"{path}.{element.name.removesuffix('[x]')}"
        if element.required and not present:
            yield _error("required", "is required", where)
        if len(present) > 1:
            yield _error("structure", f"only one of the types of {element.name} may be given", where)


def _element_errors(parent: Mapping[str, Any], key: str, rule: _Rule, path: str, targets: tuple[str, ...]) -> Iterator[Issue]:
    value = parent[key]
    where = f"{path}.{rule.name}"
    if not rule.element.many:
        if isinstance(value, list):
            yield _error("structure", "must not be an array", where)
        else:
            yield from _value_errors(value, rule, where, targets)
            if rule.primitive and "_" + key in parent:
                yield from _extra_errors(parent["_" + key], where)
        return
    if not isinstance(value, list) or not value:
        yield _error("structure", "must be an array that is not empty", where)
        return
    extras = parent.get("_" + key) if rule.primitive else None
    if extras is not None:
        yield from _extras_errors(value, extras, where)
    for index, item in enumerate(value):
        if item is None and isinstance(extras, list) and index < len(extras) and extras[index] is not None:
            continue
        yield from _value_errors(item, rule, f"{where}[{index}]", targets)


def _value_errors(value: object, rule: _Rule, path: str, targets: tuple[str, ...]) -> Iterator[Issue]:
    element, type_ = rule.element, rule.type
    if value is None:
        yield _error("structure", "must not be null", path)
    elif type_ == "Resource":
        yield from resource_errors(value, path, contained=element.name == "contained")
    elif not rule.primitive:
        yield from node_errors(value, element.node or type_, path, element.targets if type_ == "Reference" else ())
        yield from _concept_errors(value, element, path)
    elif isinstance(value, (dict, list)):
        yield _error("structure", f"must be a single {type_}", path)
    else:
        yield from _primitive_errors(value, rule, path, targets)


def _primitive_errors(value: object, rule: _Rule, path: str, targets: tuple[str, ...]) -> Iterator[Issue]:
    problem = primitive_problem(rule.type, value)
    if problem:
        yield _error("value", problem, path)
        return
    bound = rule.element.value_set
    if rule.type == "code" and bound and bound.codes and value not in bound.flat():
        yield _error("code-invalid", f"must be a code of {bound.url}", path)
    if rule.element.name == "type" and rule.type == "uri" and targets and r4().is_resource(str(value)) and value not in targets:
        yield _error("value", f"must name {' or '.join(targets)}", path)
    if rule.element.name == "reference" and isinstance(value, str):
        problem = reference_problem(value, targets)
        if problem:
            yield _error("value", problem, path)


def _concept_errors(value: object, element: Element, path: str) -> Iterator[Issue]:
    if element.value_set is None or element.value_set.codes is None or "CodeableConcept" not in element.types:
        return
    codings = value.get("coding", ()) if isinstance(value, dict) else ()
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict):
            system, code = coding.get("system"), coding.get("code")
            if isinstance(system, str) and isinstance(code, str) and code in element.value_set.codes.get(system, frozenset()):
                return
    yield _error("code-invalid", f"must have a coding of {element.value_set.url}", path)


def _sibling_errors(parent: Mapping[str, Any], key: str, rule: _Rule, path: str) -> Iterator[Issue]:
    """An underscore property whose value is absent."""
    if not rule.element.many:
        yield from _extra_errors(parent[key], path)
        return
    extras = parent[key]
    if not isinstance(extras, list) or not extras:
        yield _error("structure", "must be an array that is not empty", path)
        return
    for index, extra in enumerate(extras):
        yield from _extra_errors(extra, f"{path}[{index}]")


def _extras_errors(values: list[Any], extras: object, path: str) -> Iterator[Issue]:
    if not isinstance(extras, list) or len(extras) != len(values):
        yield _error("structure", "the values and their extensions must be arrays of the same length", path)
        return
    for index, extra in enumerate(extras):
        if extra is not None:
            yield from _extra_errors(extra, f"{path}[{index}]")


def _extra_errors(extra: object, path: str) -> Iterator[Issue]:
    yield from node_errors(extra, "Element", path)
