"""Places in a resource, and the FHIRPath subset that names them: names, indexes, where, first, last, ofType, extension.

Spec: https://hl7.org/fhir/R4/fhirpath.html#simple
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fhir_server.json_tree import Budget, Number, equal
from fhir_server.patching.application import Broken
from fhir_server.spec.definitions import Element, r4

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')|(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<time>@[0-9T:.+Z\-]+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[A-Za-z_][A-Za-z0-9_]*`)|(?P<mark>[.()\[\]=]))\s*"
)
_ESCAPE: Final = re.compile(r"\\(.)")
_UNREADABLE: Final = "the path is not of the part of FHIRPath that patches use here"
MAX_PATH: Final = 2000
MAX_CALLS: Final = 20
WORK: Final = 5
"""What looking at one place costs, beside copying one character."""


class Criterion(NamedTuple):
    """One comparison inside where(); without a literal, that the path leads to something."""

    steps: tuple[Step, ...]
    literal: Any


class Step(NamedTuple):
    """One step of a path; `kind` is name, index, where, first, last, ofType or extension."""

    kind: str
    name: str = ""
    at: int = 0
    criteria: tuple[Criterion, ...] = ()


class Place(NamedTuple):
    """Where a value stands: in an object under a JSON name, and where that holds a list, at an index."""

    owner: dict[str, Any]
    key: str
    at: int | None
    element: Element | None
    node: str
    """Type of the value: "HumanName", "Patient.contact", "code"."""
    above: Place | None = None
    """The place whose value, or whose extensions, `owner` is."""

    @property
    def value(self) -> Any:
        """The value, None where only extensions stand."""
        return _at(self.owner.get(self.key), self.at)

    @property
    def extras(self) -> Any:
        """Id and extensions of a primitive value."""
        return _at(self.owner.get("_" + self.key), self.at)


def _at(held: Any, index: int | None) -> Any:
    if index is None:
        return held
    return held[index] if isinstance(held, list) and index < len(held) else None


def root(resource: dict[str, Any]) -> Place:
    """The resource itself."""
    return Place({"": resource}, "", None, None, str(resource.get("resourceType")))


def places(resource: dict[str, Any], steps: tuple[Step, ...], budget: Budget) -> list[Place]:
    """Find what a path names.

    Raises:
        Broken: It uses a name that the type does not have.
    """
    start = root(resource)
    if steps and steps[0] == Step("name", start.node):
        steps = steps[1:]
    return _walk([start], steps, budget)


def element_of(node: str, name: str) -> Element:
    """The element of a type by its FHIRPath name (`value` of valueQuantity)."""
    found = _elements(node).get(name)
    if found is not None:
        return found
    raise Broken("the type has no element of this name")


@lru_cache(1024)
def _elements(node: str) -> dict[str, Element]:
    try:
        return {element.name.removesuffix("[x]"): element for element in r4().elements(node)}
    except KeyError:  # an earlier operation put something else where this type stands
        return {}


def _walk(found: list[Place], steps: tuple[Step, ...], budget: Budget) -> list[Place]:
    for step in steps:
        budget.spend(1 + len(found))
        found = _stepped(found, step, budget)
    return found


def _stepped(found: list[Place], step: Step, budget: Budget) -> list[Place]:
    if step.kind == "name":
        return [child for place in found for child in _children(place, step.name, budget)]
    if step.kind == "extension":
        below = [child for place in found for child in _children(place, "extension", budget)]
        return [place for place in below if isinstance(place.value, dict) and place.value.get("url") == step.name]
    if step.kind == "where":
        return [place for place in found if all(_holds(place, criterion, budget) for criterion in step.criteria)]
    if step.kind == "ofType":
        return [place for place in found if place.node == step.name]
    if step.kind == "last":
        return found[-1:]
    return found[step.at : step.at + 1]


def _holds(place: Place, criterion: Criterion, budget: Budget) -> bool:
    found = _walk([place], criterion.steps, budget)
    return bool(found) if criterion.literal is None else len(found) == 1 and equal(found[0].value, criterion.literal)


def _children(place: Place, name: str, budget: Budget) -> Iterator[Place]:
    value, node = place.value, place.node
    if not isinstance(value, dict):
        value, node = place.extras, "Element"
        if name not in ("extension", "id"):
            raise Broken("a primitive has no element of this name")
    element = element_of(node, name)
    for key, type_ in element.json_types().items() if isinstance(value, dict) else ():
        if key in value or "_" + key in value:
            yield from _held(place, value, key, element, type_, budget)


def _held(above: Place, owner: dict[str, Any], key: str, element: Element, type_: str, budget: Budget) -> Iterator[Place]:
    node = element.node or type_
    indexes: list[int | None] = [None]
    if element.many:
        lists = [held for held in (owner.get(key), owner.get("_" + key)) if isinstance(held, list)]
        indexes = list(range(max(map(len, lists), default=0)))
    budget.spend(WORK * len(indexes))
    for index in indexes:
        place = Place(owner, key, index, element, node, above)
        inside = place.value.get("resourceType") if node == "Resource" and isinstance(place.value, dict) else None
        yield place._replace(node=str(inside)) if inside else place


@lru_cache(1024)
def read_path(text: str) -> tuple[Step, ...]:
    """Read a path; Broken where it is outside the subset."""
    if len(text) > MAX_PATH or text.count("(") > MAX_CALLS:
        raise Broken("the path is too long")
    reader = _Reader(text)
    steps = reader.path()
    reader.end()
    return steps


class _Reader:
    """Recursive descent over the tokens of a path."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._next = 0
        position = 0
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise Broken(_UNREADABLE)
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind].strip("`") if kind == "name" else found[kind]))
            position = found.end()

    def path(self) -> tuple[Step, ...]:
        """Read steps that are joined by points."""
        steps = self._step()
        while self._take("mark", "."):
            steps += self._step()
        return tuple(steps)

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._next < len(self._tokens):
            raise Broken(_UNREADABLE)

    def _step(self) -> list[Step]:
        name = self._expect("name")
        steps = [self._function(name) if self._take("mark", "(") else Step("name", name)]
        while self._take("mark", "["):
            number = self._expect("number")
            if not number.isdigit() or len(number) > len("999999999"):
                raise Broken(_UNREADABLE)
            steps.append(Step("index", at=int(number)))
            self._expect("mark", "]")
        return steps

    def _function(self, name: str) -> Step:
        if name in ("first", "last"):
            step = Step(name)
        elif name == "ofType":
            step = Step(name, self._expect("name"))
        elif name == "extension":
            step = Step(name, _unquoted(self._expect("string")))
        elif name == "where":
            criteria = [self._criterion()]
            while self._take("name", "and"):
                criteria.append(self._criterion())
            step = Step(name, criteria=tuple(criteria))
        else:
            raise Broken(_UNREADABLE)
        self._expect("mark", ")")
        return step

    def _criterion(self) -> Criterion:
        steps = self._step()
        while self._take("mark", "."):
            if self._take("name", "exists"):
                self._expect("mark", "(")
                self._expect("mark", ")")
                return Criterion(tuple(steps), None)
            steps += self._step()
        self._expect("mark", "=")
        return Criterion(tuple(steps), self._literal())

    def _literal(self) -> Any:
        for kind in ("string", "number", "time", "name"):
            text = self._take(kind)
            if text and kind == "name":
                return {"true": True, "false": False}.get(text) if text in ("true", "false") else self._refuse()
            if text:
                return _unquoted(text) if kind == "string" else Number(text) if kind == "number" else text[1:]
        return self._refuse()

    def _refuse(self) -> Any:
        raise Broken(_UNREADABLE)

    def _take(self, kind: str, text: str = "") -> str:
        if self._next < len(self._tokens):
            found, said = self._tokens[self._next]
            if found == kind and text in ("", said):
                self._next += 1
                return said
        return ""

    def _expect(self, kind: str, text: str = "") -> str:
        return self._take(kind, text) or self._refuse()


def _unquoted(text: str) -> str:
    named = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
    return _ESCAPE.sub(lambda found: named.get(found[1], found[1]), text[1:-1])
