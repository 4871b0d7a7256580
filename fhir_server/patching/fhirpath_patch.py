"""FHIRPath Patch: add, insert, delete, replace and move, as a Parameters resource says them.

Spec: https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from fhir_server.json_tree import Budget, read_tree
from fhir_server.patching.application import Broken, Patch, failed, malformed, require_few
from fhir_server.patching.fhirpath_place import Place, Step, element_of, places, read_path
from fhir_server.spec.definitions import Element
from fhir_server.validation.resources import validate


class Content(NamedTuple):
    """A value of Parameters: of a type, or as parts that are its elements."""

    type: str
    value: Any
    extras: Any
    parts: tuple[tuple[str, Content], ...]


class Operation(NamedTuple):
    """One operation; numbers are -1 where they are not given."""

    type: str
    steps: tuple[Step, ...]
    name: str
    content: Content | None
    at: int
    source: int
    destination: int


def fhirpath_patch(body: bytes) -> Patch:
    """Read a Parameters resource as a patch.

    Raises:
        Invalid: It is no patch; the text and the expression name the operation.
        Unprocessable: It is no valid Parameters resource, or has too many operations.
    """
    validate(body, type_="Parameters")
    parameters = read_tree(body).get("parameter", [])
    require_few(parameters)
    return partial(_patched, tuple(_operation(index, each) for index, each in enumerate(parameters)))


def _operation(index: int, parameter: Mapping[str, Any]) -> Operation:
    where = f"Parameters.parameter[{index}]"
    if parameter.get("name") != "operation":
        raise malformed(index, "its name is operation", where)
    parts = {part["name"]: part for part in parameter.get("part", ())}
    if len(parts) != len(parameter.get("part", ())):
        raise malformed(index, "a part is given twice", where)
    type_ = parts.get("type", {}).get("valueCode")
    if type_ not in _OPERATIONS:
        raise malformed(index, f"its type is one of {', '.join(sorted(_OPERATIONS))}", where)
    needed = {"add": ("name", "value"), "insert": ("index", "value"), "replace": ("value",), "move": ("source", "destination")}
    missing = [name for name in ("path", *needed.get(type_, ())) if name not in parts]
    if missing:
        raise malformed(index, f"{type_} needs {' and '.join(missing)}", where)
    try:
        numbers = [_number(parts.get(name)) for name in ("index", "source", "destination")]
        steps = read_path(_text(parts["path"]))
        name = _text(parts["name"]) if "name" in parts else ""
        return Operation(type_, steps, name, _content(parts["value"]) if "value" in parts else None, *numbers)
    except Broken as broken:
        raise malformed(index, str(broken), where) from None


def _text(part: Mapping[str, Any]) -> str:
    text = part.get("valueString")
    if not isinstance(text, str):
        raise Broken("path and name are strings")
    return text


def _number(part: Mapping[str, Any] | None) -> int:
    if part is None:
        return -1
    found = next((part[key] for key in ("valueInteger", "valueUnsignedInt", "valuePositiveInt") if key in part), None)
    if not isinstance(found, int) or found < 0:
        raise Broken("index, source and destination are integers from 0 on")
    return found


def _content(part: Mapping[str, Any]) -> Content:
    """The value of a part, whatever its type."""
    key = next((key.lstrip("_") for key in part if key.lstrip("_").startswith("value")), "")
    if key:
        return Content(key.removeprefix("value"), part.get(key), part.get("_" + key), ())
    if "resource" in part:
        return Content("Resource", part["resource"], None, ())
    if "part" not in part:
        raise Broken("a value has a value[x], a resource or parts")
    return Content("", None, None, tuple((str(each["name"]), _content(each)) for each in part["part"]))


def _patched(operations: Sequence[Operation], tree: Any) -> Any:
    budget = Budget()
    for index, operation in enumerate(operations):
        try:
            _OPERATIONS[operation.type](tree, operation, budget)
        except Broken as broken:
            raise failed(index, operation.type, str(broken), f"Parameters.parameter[{index}]") from None
    return tree


def _one(found: Sequence[Place]) -> Place:
    if not found:
        raise Broken("the path leads to nothing")
    if len(found) > 1:
        raise Broken("the path leads to more than one element")
    return found[0]


def _add(tree: Any, operation: Operation, budget: Budget) -> None:
    place = _one(places(tree, operation.steps, budget))
    value, node = place.value, place.node
    if not isinstance(value, dict):  # a primitive holds an id and extensions beside it
        if operation.name not in ("extension", "id"):
            raise Broken("a primitive has no element of this name")
        value, node = dict(place.extras or {}), "Element"
        _set(place, place.key, place.value, value)
    _put(value, element_of(node, operation.name), operation.content, budget)


def _insert(tree: Any, operation: Operation, budget: Budget) -> None:
    owner, element = _list(tree, operation, budget)
    if operation.at > _length(owner, element.name):
        raise Broken("the index is behind the end of the list")
    _, value, extras = _made(element, operation.content, budget)
    _put_item(owner, element.name, operation.at, value, extras)


def _delete(tree: Any, operation: Operation, budget: Budget) -> None:
    found = places(tree, operation.steps, budget)
    if found:
        place = _one(found)
        _take(place)
        _prune(place)


def _prune(place: Place) -> None:
    """Take out the objects above a deleted place that are empty now, as an element without content does not exist."""
    above = place.above
    while above is not None and above.element is not None and not place.owner:
        if above.value is not place.owner:
            _set(above, above.key, above.value, None)
            return
        _take(above)
        place, above = above, above.above


def _replace(tree: Any, operation: Operation, budget: Budget) -> None:
    place = _one(places(tree, operation.steps, budget))
    if place.element is None:
        raise Broken("the resource as a whole stays")
    _set(place, *_made(place.element, operation.content, budget))


def _move(tree: Any, operation: Operation, budget: Budget) -> None:
    owner, element = _list(tree, operation, budget)
    if max(operation.source, operation.destination) >= _length(owner, element.name):
        raise Broken("source or destination is behind the end of the list")
    value, extras = _take(Place(owner, element.name, operation.source, element, ""))
    _put_item(owner, element.name, operation.destination, value, extras)


def _list(tree: Any, operation: Operation, budget: Budget) -> tuple[dict[str, Any], Element]:
    """Find the object that holds the list which a path names, be it empty."""
    if operation.steps[-1].kind != "name":
        raise Broken("the path names a list, by the name of its elements")
    parent = _one(places(tree, operation.steps[:-1], budget))
    if not isinstance(parent.value, dict):
        raise Broken("the path leads to nothing")
    element = element_of(parent.node, operation.steps[-1].name)
    if not element.many:
        raise Broken("the element does not repeat")
    return parent.value, element


def _length(owner: Mapping[str, Any], key: str) -> int:
    return max(len(owner.get(key, ())), len(owner.get("_" + key, ())))


def _made(element: Element, content: Content | None, budget: Budget) -> tuple[str, Any, Any]:
    """JSON name, value and extensions of an element with this content."""
    if content is None:
        raise Broken("a value is needed")
    key = element.name
    if element.choice:
        key = key.removesuffix("[x]") + content.type
        if key not in element.json_types():
            raise Broken("the element does not take this type")
    if not content.parts:
        return key, budget.copy(content.value), budget.copy(content.extras)
    built: dict[str, Any] = {}
    node = element.node or element.json_types()[key]
    for name, part in content.parts:
        _put(built, element_of(node, name), part, budget)
    return key, built, None


def _put(owner: dict[str, Any], element: Element, content: Content | None, budget: Budget) -> None:
    """Append to a list, or set what is not there yet."""
    key, value, extras = _made(element, content, budget)
    if element.many:
        _put_item(owner, key, _length(owner, key), value, extras)
        return
    if any(name in owner or "_" + name in owner for name in element.json_types()):
        raise Broken("the element is there already and does not repeat")
    _store(owner, key, value, extras)


def _store(owner: dict[str, Any], key: str, value: Any, extras: Any) -> None:
    for name, held in ((key, value), ("_" + key, extras)):
        if held is None:
            owner.pop(name, None)
        else:
            owner[name] = held


def _put_item(owner: dict[str, Any], key: str, index: int, value: Any, extras: Any) -> None:
    length = _length(owner, key)
    for name, held in ((key, value), ("_" + key, extras)):
        if name in owner or held is not None:
            items = owner.setdefault(name, [])
            items.extend([None] * (length - len(items)))
            items.insert(index, held)


def _set(place: Place, key: str, value: Any, extras: Any) -> None:
    """Put another value where one stands; a choice may change its type."""
    if place.at is None:
        if key != place.key:
            _store(place.owner, place.key, None, None)
        _store(place.owner, key, value, extras)
        return
    _take(place)
    _put_item(place.owner, key, place.at, value, extras)


def _take(place: Place) -> tuple[Any, Any]:
    """Take a value and its extensions out; a list that is empty then goes too."""
    if place.element is None:
        raise Broken("the resource as a whole stays")
    taken = place.value, place.extras
    if place.at is None:
        _store(place.owner, place.key, None, None)
        return taken
    for name in (place.key, "_" + place.key):
        items = place.owner.get(name)
        if items is not None and place.at < len(items):
            items.pop(place.at)
        if items is not None and all(item is None for item in items):
            del place.owner[name]
    return taken


_OPERATIONS: Final[Mapping[str, Callable[[Any, Operation, Budget], None]]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
