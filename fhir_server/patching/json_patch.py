"""JSON Patch: add, remove, replace, move, copy and test on the places that JSON Pointers name.

Spec: https://www.rfc-editor.org/rfc/rfc6902, https://www.rfc-editor.org/rfc/rfc6901
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from chartloop.kernel.errors import Invalid
from fhir_server.json_tree import Budget, equal, read_tree
from fhir_server.patching.application import Broken, Patch, failed, malformed, require_few
from fhir_server.validation.parsing import check_text, parse

Pointer = tuple[str, ...]

_ESCAPED: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_MISSING: Final = "the path leads to nothing"


class Operation(NamedTuple):
    """One operation; `source` is its member "from"."""

    op: str
    path: Pointer
    source: Pointer
    value: Any


def json_patch(body: bytes) -> Patch:
    """Read a JSON Patch document.

    Raises:
        Invalid: It is none; the text names the operation.
        Unprocessable: It has too many operations.
    """
    check_text(body)
    parse(body)
    document = read_tree(body)
    if not isinstance(document, list):
        raise Invalid("A JSON Patch is an array of operations.", code="structure")
    require_few(document)
    return partial(_patched, tuple(_operation(index, each) for index, each in enumerate(document)))


def pointer(text: object) -> Pointer:
    """Read a JSON Pointer; Broken where it is none."""
    if not isinstance(text, str) or (text and not text.startswith("/")) or _ESCAPED.search(text):
        raise Broken("a path is a JSON Pointer, such as /name/0/family")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _operation(index: int, given: object) -> Operation:
    op = given.get("op") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(op, str) or op not in _OPERATIONS:
        raise malformed(index, f"op is one of {', '.join(sorted(_OPERATIONS))}")
    if op in ("add", "replace", "test") and "value" not in given:
        raise malformed(index, f"{op} needs a value")
    try:
        source = pointer(given.get("from")) if op in ("move", "copy") else ()
        return Operation(op, pointer(given.get("path")), source, given.get("value"))
    except Broken as broken:
        raise malformed(index, str(broken)) from None


def _patched(operations: Sequence[Operation], tree: Any) -> Any:
    budget = Budget()
    for index, operation in enumerate(operations):
        try:
            tree = _OPERATIONS[operation.op](tree, operation, budget)
        except Broken as broken:
            raise failed(index, operation.op, str(broken)) from None
    return tree


def _found(tree: Any, path: Pointer) -> Any:
    for name in path:
        if isinstance(tree, dict) and name in tree:
            tree = tree[name]
        elif isinstance(tree, list):
            tree = tree[_index(name, len(tree) - 1)]
        else:
            raise Broken(_MISSING)
    return tree


def _index(name: str, last: int) -> int:
    if not _INDEX.fullmatch(name):
        raise Broken("a place in an array is a number without leading zeros")
    if int(name) > last:
        raise Broken(_MISSING)
    return int(name)


def _put(tree: Any, path: Pointer, value: Any) -> Any:
    if not path:
        return value
    parent, name = _found(tree, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[name] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if name == "-" else _index(name, len(parent)), value)
    else:
        raise Broken(_MISSING)
    return tree


def _taken(tree: Any, path: Pointer) -> Any:
    """Take a value out of the tree."""
    if not path:
        raise Broken("the resource as a whole stays")
    parent, name = _found(tree, path[:-1]), path[-1]
    if isinstance(parent, list):
        return parent.pop(_index(name, len(parent) - 1))
    if not isinstance(parent, dict) or name not in parent:
        raise Broken(_MISSING)
    return parent.pop(name)


def _add(tree: Any, operation: Operation, budget: Budget) -> Any:
    return _put(tree, operation.path, budget.copy(operation.value))


def _remove(tree: Any, operation: Operation, _budget: Budget) -> Any:
    _taken(tree, operation.path)
    return tree


def _replace(tree: Any, operation: Operation, budget: Budget) -> Any:
    value = budget.copy(operation.value)
    if not operation.path:
        return value
    _found(tree, operation.path)
    parent, name = _found(tree, operation.path[:-1]), operation.path[-1]
    parent[int(name) if isinstance(parent, list) else name] = value
    return tree


def _move(tree: Any, operation: Operation, _budget: Budget) -> Any:
    source, path = operation.source, operation.path
    value = _found(tree, source)
    if source == path:
        return tree
    if path[: len(source)] == source:
        raise Broken("a value cannot be moved into itself")
    _taken(tree, source)
    return _put(tree, path, value)


def _copy(tree: Any, operation: Operation, budget: Budget) -> Any:
    return _put(tree, operation.path, budget.copy(_found(tree, operation.source)))


def _test(tree: Any, operation: Operation, _budget: Budget) -> Any:
    if not equal(_found(tree, operation.path), operation.value):
        raise Broken("the value is another one")
    return tree


_OPERATIONS: Final[Mapping[str, Callable[[Any, Operation, Budget], Any]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
