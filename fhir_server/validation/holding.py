"""Whether all invariants of a resource certainly hold: generated Python that evaluates an expression only where nothing cheaper decides.

The other way round does not hold: where this says no, invariant_issues judges.
Spec: https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import repeat
from typing import Any, Final

from fhir_server.fhirpath.parts import Part, resource_part
from fhir_server.references import references_in
from fhir_server.spec.definitions import Element, r4
from fhir_server.validation.invariants import CONTAINERS, Invariant, invariants_at, invariants_of, is_broken
from fhir_server.validation.published import CORRECTIONS
from fhir_server.validation.sufficient import NEVER, sufficient

Check = Callable[[Any, Any, Any], bool]
ELSEWHERE: Final = frozenset({"ele-1", "ext-1", "txt-1", "txt-2", "ref-1", "dom-2", "dom-3", "dom-4", "dom-5"})
"""Looked after by the structure's rules (ext-1, txt-1, txt-2, dom-2, dom-4) or below, for all elements at once."""
_ONLY_ID: Final = re.compile(rb'\{\s*"(?:i|\\u0069)(?:d|\\u0064)"\s*:\s*"(?:[^"\\]|\\.)*"\s*\}')
_LOCAL: Final = re.compile(rb'"reference"\s*:\s*"(#[^"]*)"')
_EXTENSIONS: Final = frozenset({"extension", "modifierExtension"})
_building = threading.RLock()


def holds(resource: Mapping[str, Any], body: bytes) -> bool:
    """Whether no invariant is broken; False means that they must be evaluated.

    Args:
        resource: A resource whose structure is right.
        body: The JSON that it came as.
    """
    if _ONLY_ID.search(body) and not _elements_hold(resource):
        return False
    local = (b"#" in body and b'"#' in body) or (b"\\" in body and b"\\u0023" in body)
    if local and resource["resourceType"] in ("Bundle", "Parameters"):
        return False
    if b'xtension"' in body and _valued().search(body) and not _extensions_hold(resource):
        return False
    if (local or "contained" in resource) and not _contained_hold(resource, _local_in_bytes(body) if b"\\" not in body else _local_in(resource)):
        return False
    check = _check_of(resource["resourceType"])
    return check is None or check(resource, resource, resource)


def _resource_holds(resource: Any, root: Any) -> bool:
    if resource is root and not _contained_hold(resource, _local_in(resource)):
        return False
    check = _check_of(resource["resourceType"])
    return check is None or check(resource, resource, root)


def _elements_hold(value: Any) -> bool:
    """ele-1: no element has an id and nothing else; beside the value of a primitive it may stand alone."""
    waiting = [value]
    while waiting:
        owner = waiting.pop()
        for key, held in owner.items():
            for index, item in enumerate(held if isinstance(held, list) else (held,)):
                if not isinstance(item, dict):
                    continue
                if item.keys() == {"id"} and not (key[0] == "_" and _valued_at(owner.get(key[1:]), index)):
                    return False
                waiting.append(item)
    return True


def _valued_at(held: Any, index: int) -> bool:
    values = held if isinstance(held, list) else [held]
    return index < len(values) and values[index] is not None


def _local_in_bytes(body: bytes) -> set[str]:
    """References to contained resources; without escapes in the body, what looks like one is one."""
    return {text.decode() for text in _LOCAL.findall(body)}


def _local_in(resource: Mapping[str, Any]) -> set[str]:
    return {text for _, text in references_in(resource) if text.startswith("#")}


def _contained_hold(resource: Mapping[str, Any], named: set[str]) -> bool:
    """ref-1: local references name contained resources; dom-3: those are referred to; dom-5: they have no security labels."""
    contained = resource.get("contained", ())
    known = {f"#{each['id']}" for each in contained if "id" in each}
    return len(known) == len(contained) and known <= named <= known | {"#"} and not any("security" in each.get("meta", ()) for each in contained)


def _extensions_hold(value: Any) -> bool:
    """The invariants of types that extensions may hold, wherever such a value stands."""
    types, waiting = _value_types(), [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if isinstance(inner, (dict, list)):
                    waiting.append(inner)
                    if key in types and not _each_holds(types[key], inner, item):
                        return False
        else:
            waiting += [each for each in item if isinstance(each, (dict, list))]
    return True


def _each_holds(type_: str, held: Any, owner: Any) -> bool:
    """An extension has one value; a Device.property.valueQuantity, of the same JSON name, is a list of them."""
    check = _check_of(type_)
    return check is None or all(check(each, owner, owner) for each in (held if isinstance(held, list) else (held,)) if isinstance(each, dict))


@cache
def _value_types() -> dict[str, str]:
    """Types of extension values that have invariants, by JSON name."""
    (value,) = (each for each in r4().elements("Extension") if each.choice)
    return {key: type_ for key, type_ in value.json_types().items() if type_ not in r4().primitive_types and _check_of(type_) is not None}


@cache
def _valued() -> re.Pattern[bytes]:
    return re.compile(b'"(?:' + b"|".join(key.encode() for key in _value_types()) + b')"')


def present(value: Any, keys: tuple[tuple[str, ...], ...]) -> bool:
    """Whether a path of JSON names leads to something."""
    for depth, names in enumerate(keys):
        if isinstance(value, list):
            return any(present(item, keys[depth:]) for item in value)
        if depth + 1 == len(keys):
            return not value.keys().isdisjoint(names)
        value = next((value[name] for name in names if name in value), None)
        if value is None:
            return False
    return True


def each(value: Any, names: tuple[str, ...]) -> Iterator[Any]:
    """The JSON objects that a path of JSON names leads to."""
    for depth, name in enumerate(names):
        if isinstance(value, list):
            for item in value:
                yield from each(item, names[depth:])
            return
        value = value.get(name)
        if value is None:
            return
    yield from value if isinstance(value, list) else (value,)


def ordered(value: Mapping[str, Any], early: str, late: str) -> bool:
    """Whether two moments are certainly in this order: written alike, in one time zone."""
    one, other = value.get(early), value.get(late)
    if not isinstance(one, str) or not isinstance(other, str) or len(one) != len(other) or one > other:
        return False
    return len(one) <= 10 or (one[-1] == "Z" == other[-1]) or (one[-6:] == other[-6:] and one[-6] in "+-")


_checks: Final[dict[str, Check | None]] = {}


def _check_of(node: str) -> Check | None:
    """The check of a type or backbone element; none where nothing below it has invariants."""
    if node not in _checks:
        with _building:
            _build(node)
    return _checks[node]


def _build(node: str) -> None:
    """Make the checks of a node and of all below it; they contain each other, so their tables are filled last."""
    fresh = [each for each in _reached(node) if each not in _checks]
    made = {each: _Node(each) for each in fresh if _matters(each)}
    known = {**_checks, **{each: node.check for each, node in made.items()}}
    for each in made.values():
        each.fill(known)
    for name in fresh:  # last: who finds a check here may call it
        _checks[name] = made[name].check if name in made else None


@cache
def _reached(node: str) -> frozenset[str]:
    """The node and all below it, extensions left out."""
    found, waiting = {node}, [node]
    while waiting:
        for element in _inner(waiting.pop()):
            fresh = {element.node or type_ for type_ in element.types or ("",)} - found - {"Resource", ""} - r4().primitive_types
            found |= fresh
            waiting += fresh
    return frozenset(found)


def _inner(node: str) -> list[Element]:
    return [element for element in r4().elements(node) if element.name not in _EXTENSIONS]


@cache
def _matters(node: str) -> bool:
    return any(_needed(invariants_of(each)) or any(_of_place(each, element) for element in _inner(each)) for each in _reached(node))


def _needed(invariants: tuple[Invariant, ...]) -> list[Invariant]:
    return [each for each in invariants if each.constraint.severity == "error" and each.constraint.key not in ELSEWHERE]


def _of_place(node: str, element: Element) -> list[Invariant]:
    """Invariants that an element has by its place, beside those of its type; and the resources below it."""
    of_type = {each.constraint for type_ in element.types for each in invariants_of(type_)}
    found = [each for type_ in element.types for each in invariants_at(f"{node}.{element.name}", element.node or type_)]
    own = {each.constraint for each in invariants_of(element.node)} if element.node else set()
    return [each for each in _needed(tuple(found)) if each.constraint not in of_type and each.constraint not in own]


class _Node:
    """The check of one type or backbone element: its own invariants, then what stands below it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._below: dict[str, Check] = {}
        self._keys: frozenset[str] = frozenset()
        self._tests = tuple(_test(each, node) for each in _needed(invariants_of(node)))

    def check(self, value: Any, resource: Any, root: Any) -> bool:
        """Whether the invariants of an object, and of all in it, certainly hold."""
        for test in self._tests:
            if not test(value, resource, root):
                return False
        below = self._below
        return not any(True for key in self._keys.intersection(value) if not below[key](value[key], resource, root))

    def fill(self, checks: Mapping[str, Check | None]) -> None:
        """Collect the checks of what stands below, by JSON name."""
        for element in _inner(self._node):
            for key, type_ in element.json_types().items():
                found = list(self._of_element(element, type_, checks))
                if found:
                    self._below[key] = _for_each(_all(found)) if element.many else _all(found)
        self._keys = frozenset(self._below)

    def _of_element(self, element: Element, type_: str, checks: Mapping[str, Check | None]) -> Iterator[Check]:
        if type_ == "Resource":
            yield _on_its_own if f"{self._node}.{element.name}" in CONTAINERS else _part_of
            return
        below = element.node or type_
        yield from (_test(each, below) for each in _of_place(self._node, element))
        inner = checks.get(below)
        if inner is not None:
            yield inner


def _on_its_own(value: Any, _resource: Any, _root: Any) -> bool:
    return _resource_holds(value, value)


def _part_of(value: Any, _resource: Any, root: Any) -> bool:
    return _resource_holds(value, root)


def _for_each(check: Check) -> Check:
    return lambda values, resource, root: all(map(check, values, repeat(resource), repeat(root)))


def _all(found: list[Check]) -> Check:
    return found[0] if len(found) == 1 else lambda value, resource, root: all(check(value, resource, root) for check in found)


def _test(invariant: Invariant, node: str) -> Check:
    """What suffices, or else the expression itself."""
    key = invariant.constraint.key

    def ask(value: Any, resource: Any, root: Any) -> bool:
        return not is_broken(invariant, Part(node, value), resource_part(resource), resource_part(root))

    condition = sufficient(CORRECTIONS[key].expression if key in CORRECTIONS else invariant.constraint.expression, node)
    if condition.source == NEVER:
        return ask
    known = {**condition.constants, "present": present, "each": each, "ordered": ordered, "ask": ask}
    # Put together from names of the definitions and from their constants: no one's input is in it.
    made: Check = eval(f"lambda d, r, c: {condition.source} or ask(d, r, c)", known)  # noqa: S307 the source is this module's own  # nosec B307
    return made
