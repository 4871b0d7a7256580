"""Plain Python that suffices for an invariant: where it is true, the expression certainly is, and need not be evaluated.

Only what is cheap and often asked is translated: exists, empty, comparisons with constants, counts, where().exists(), and their logic.
What cannot be translated is never sufficient. Python is put together from names of the definitions and from constants alone.
"""

from __future__ import annotations

from itertools import count
from typing import Final, NamedTuple

from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.tree import Binary, Call, Literal, Name, Node, Step, Variable
from fhir_server.spec.definitions import Element, r4

NEVER: Final = "False"
_UCUM: Final = "http://unitsofmeasure.org"
_COMPARISONS: Final = frozenset({"<", "<=", ">", ">="})


class Condition(NamedTuple):
    """Python that suffices; and the constants that it names."""

    source: str
    constants: dict[str, frozenset[str]]


def sufficient(expression: str, node: str) -> Condition:
    """A condition on the JSON object `d` that suffices for an expression asked of a type; `False` where nothing does."""
    translation = _Translation()
    return Condition(translation.true(parse(expression), node, "d"), translation.constants)


def path_keys(path: tuple[str, ...], node: str) -> tuple[tuple[tuple[str, ...], ...], str, bool] | None:
    """JSON names of each step of a path, the type it ends at, and whether it can find several; none where it leaves the definitions."""
    keys: list[tuple[str, ...]] = []
    many = False
    for name in path:
        element = _element(node, name)
        if element is None or "Resource" in element.types:
            return None
        names = tuple(element.json_types())
        keys.append(tuple(key for each in names for key in ((each, "_" + each) if _primitive(element) else (each,))))
        many = many or element.many
        node = element.node or (element.types[0] if len(names) == 1 and element.types else "")
    return tuple(keys), node, many


def _element(node: str, name: str) -> Element | None:
    try:
        elements = r4().elements(node)
    except KeyError:
        return None
    return next((each for each in elements if each.name.removesuffix("[x]") == name), None)


def _primitive(element: Element) -> bool:
    return any(code in r4().primitive_types for code in element.types)


class _Translation:
    """Makes conditions; `true` suffices for true, `false` for false."""

    def __init__(self) -> None:
        self._names = count()
        self.constants: dict[str, frozenset[str]] = {}

    def _any_key(self, keys: tuple[str, ...], d: str) -> str:
        if len(keys) <= 2:
            return "(" + " or ".join(f"{key!r} in {d}" for key in keys) + ")"
        name = f"K_{len(keys)}_{keys[0]}"
        self.constants[name] = frozenset(keys)
        return f"(not {name}.isdisjoint({d}))"

    def true(self, tree: Node, node: str, d: str) -> str:
        if isinstance(tree, Binary):
            return self._binary(tree, node, d, wanted=True)
        if isinstance(tree, Literal) and tree.value is True:
            return "True"
        return self._call(tree, node, d, wanted=True)

    def false(self, tree: Node, node: str, d: str) -> str:
        if isinstance(tree, Binary):
            return self._binary(tree, node, d, wanted=False)
        return self._call(tree, node, d, wanted=False)

    def _binary(self, tree: Binary, node: str, d: str, *, wanted: bool) -> str:
        left, right = tree.left, tree.right
        if tree.operator in ("and", "or", "implies"):
            first = self._side(left, node, d, wanted != (tree.operator == "implies"))
            second = self._side(right, node, d, wanted)
            return _both(first, second) if wanted == (tree.operator == "and") else _either(first, second)
        if tree.operator == "xor" or (tree.operator in ("=", "!=") and _is_boolean(left) and _is_boolean(right)):
            return self._differ(left, right, node, d, differ=wanted == (tree.operator in ("xor", "!=")))
        if tree.operator in ("=", "!="):
            return self._equals(left, right, node, d, equal=wanted == (tree.operator == "="))
        if tree.operator == "in":
            return self._among(left, right, node, d, wanted=wanted)
        if tree.operator in ("<=", ">=") and wanted and isinstance(left, Name) and isinstance(right, Name):
            early, late = (left, right) if tree.operator == "<=" else (right, left)
            return f"ordered({d}, {early.name!r}, {late.name!r})" if _is_moment(node, early.name) and _is_moment(node, late.name) else NEVER
        return self._counted(tree, node, d, wanted=wanted) if tree.operator in _COMPARISONS else NEVER

    def _side(self, tree: Node, node: str, d: str, wanted: bool) -> str:
        return self.true(tree, node, d) if wanted else self.false(tree, node, d)

    def _differ(self, left: Node, right: Node, node: str, d: str, *, differ: bool) -> str:
        yes, no = self.true(left, node, d), self.false(left, node, d)
        other_yes, other_no = self.true(right, node, d), self.false(right, node, d)
        return _either(_both(yes, other_no if differ else other_yes), _both(no, other_yes if differ else other_no))

    def _call(self, tree: Node, node: str, d: str, *, wanted: bool) -> str:
        """exists(), empty(), not(), hasValue(), where(...).exists() and .empty()."""
        target, call = _parts(tree)
        if call is None:
            return NEVER
        if call.name == "not" and target is not None:
            return self._side(target, node, d, not wanted)
        if call.name in ("exists", "empty") and not call.arguments and target is not None:
            return self._present(target, node, d, wanted=wanted == (call.name == "exists"))
        if call.name in ("all", "isDistinct") and target is not None and wanted:
            return self._absent(target, node, d)
        if call.name == "hasValue" and isinstance(target, Name):
            return _negated(f"{target.name!r} in {d}", wanted) if _single_primitive(node, target.name) else NEVER
        return NEVER

    def _present(self, target: Node, node: str, d: str, *, wanted: bool) -> str:
        inner, call = _parts(target)
        if call is not None and call.name == "where" and len(call.arguments) == 1:
            if inner is None:
                return self.true(call.arguments[0], node, d) if wanted else self._untrue(call.arguments[0], node, d)
            some = self._some(inner, call.arguments[0], node, d, wanted=wanted)
            return some if wanted else _either(some, self._absent(inner, node, d))
        path = _path(target, node)
        found = path_keys(path, node) if path else None
        if not path or found is None:
            return NEVER
        keys = found[0]
        if len(keys) == 1:
            return _negated(self._any_key(keys[0], d), wanted)
        return _negated(f"present({d}, {keys!r})", wanted)

    def _untrue(self, tree: Node, node: str, d: str) -> str:
        """Suffices for an expression that is false or empty, as where() needs it."""
        if isinstance(tree, Binary) and tree.operator in ("and", "or"):
            sides = self._untrue(tree.left, node, d), self._untrue(tree.right, node, d)
            return _either(*sides) if tree.operator == "and" else _both(*sides)
        if isinstance(tree, Binary) and tree.operator == "=" and isinstance(tree.left, Name) and _single_primitive(node, tree.left.name):
            constant = _constant(tree.right)
            return NEVER if constant is None else f"{d}.get({tree.left.name!r}) != {constant!r}"
        return self.false(tree, node, d)

    def _absent(self, tree: Node, node: str, d: str) -> str:
        """Suffices for a path that finds nothing, whatever is then asked of what it finds."""
        while (parts := _parts(tree))[1] is not None and parts[0] is not None and parts[1].name in ("where", "select", "trace", "first"):
            tree = parts[0]
        path = _path(tree, node)
        while path and path_keys(path, node) is None:
            path = path[:-1]  # what stands below a resource: the resource is not there either
        return self._present(_names(path), node, d, wanted=False) if path else NEVER

    def _some(self, target: Node, criterion: Node, node: str, d: str, *, wanted: bool) -> str:
        path = _path(target, node)
        found = path_keys(path, node) if path else None
        if not path or found is None or not found[1] or found[1] in r4().primitive_types:
            return NEVER
        item = f"i{next(self._names)}"
        test = self.true(criterion, found[1], item) if wanted else self._untrue(criterion, found[1], item)
        names = tuple(keys[0] for keys in found[0])
        if test == NEVER or any(len(keys) > 1 for keys in found[0]):
            return NEVER
        return f"{'any' if wanted else 'all'}({test} for {item} in each({d}, {names!r}))"

    def _equals(self, left: Node, right: Node, node: str, d: str, *, equal: bool) -> str:
        constant = _constant(right)
        if isinstance(left, Name) and constant is not None and _single_primitive(node, left.name):
            return f"{d}.get({left.name!r}) == {constant!r}" if equal else f"{d}.get({left.name!r}, {constant!r}) != {constant!r}"
        return self._counts(left, right, node, d, "==" if equal else "!=")

    def _among(self, left: Node, right: Node, node: str, d: str, *, wanted: bool) -> str:
        choices = _union(right)
        if not isinstance(left, Name) or not choices or not _single_primitive(node, left.name):
            return NEVER
        known = f"{d}.get({left.name!r}) in {choices!r}"
        return known if wanted else f"({left.name!r} in {d} and not {known})"

    def _counted(self, tree: Binary, node: str, d: str, *, wanted: bool) -> str:
        opposite = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
        return self._counts(tree.left, tree.right, node, d, tree.operator if wanted else opposite[tree.operator])

    def _counts(self, left: Node, right: Node, node: str, d: str, operator: str) -> str:
        if isinstance(left, Name) and isinstance(right, Literal) and type(right.value) is int and _is_number(node, left.name):
            return f"({left.name!r} in {d} and {d}[{left.name!r}] {operator} {right.value})"
        one, other = self._number(left, node, d), self._number(right, node, d)
        return f"{one} {operator} {other}" if one and other else NEVER

    def _number(self, tree: Node, node: str, d: str) -> str:
        """A count, a sum of counts, or a number; empty for something else."""
        if isinstance(tree, Literal) and isinstance(tree.value, int) and not isinstance(tree.value, bool):
            return str(tree.value)
        if isinstance(tree, Binary) and tree.operator == "+":
            one, other = self._number(tree.left, node, d), self._number(tree.right, node, d)
            return f"({one} + {other})" if one and other else ""
        target, call = _parts(tree)
        if call is None or call.name != "count" or call.arguments or not isinstance(target, Name):
            return ""
        element = _element(node, target.name)
        if element is None or element.choice or (_primitive(element) and element.many):
            return ""
        keys = path_keys((target.name,), node)
        if element.many:
            return f"len({d}.get({element.name!r}, ()))"
        return f"int({self._any_key(keys[0][0], d)})" if keys else ""


def _negated(condition: str, wanted: bool) -> str:
    return condition if wanted else f"not ({condition})"


def _both(first: str, second: str) -> str:
    return NEVER if NEVER in (first, second) else f"({first} and {second})"


def _either(first: str, second: str) -> str:
    known = [each for each in (first, second) if each != NEVER]
    return f"({' or '.join(known)})" if known else NEVER


def _parts(tree: Node) -> tuple[Node | None, Call | None]:
    """Target and call of target.call(); none where the tree is something else."""
    if isinstance(tree, Step) and isinstance(tree.then, Call):
        return tree.target, tree.then
    return (None, tree) if isinstance(tree, Call) else (None, None)


def _path(tree: Node, node: str) -> tuple[str, ...]:
    """The names of a path without functions; empty for something else."""
    names: list[str] = []
    while isinstance(tree, Step) and isinstance(tree.then, Name):
        names.insert(0, tree.then.name)
        tree = tree.target
    if not isinstance(tree, Name):
        return ()
    if tree.name != node:
        names.insert(0, tree.name)
    return tuple(names)


def _constant(tree: Node) -> str | bool | None:
    if isinstance(tree, Literal) and isinstance(tree.value, (str, bool)):
        return tree.value
    return _UCUM if isinstance(tree, Variable) and tree.name == "ucum" else None


def _union(tree: Node) -> tuple[str, ...]:
    if isinstance(tree, Binary) and tree.operator == "|":
        left, right = _union(tree.left), _union(tree.right)
        return (*left, *right) if left and right else ()
    return (tree.value,) if isinstance(tree, Literal) and isinstance(tree.value, str) else ()


def _is_boolean(tree: Node) -> bool:
    call = _parts(tree)[1]
    return call is not None and call.name in ("exists", "empty", "not", "hasValue")


def _names(path: tuple[str, ...]) -> Node:
    tree: Node = Name(path[0], 0)
    for name in path[1:]:
        tree = Step(tree, Name(name, 0), 0)
    return tree


def _is_number(node: str, name: str) -> bool:
    element = _element(node, name)
    return element is not None and not element.many and element.types[0] in ("decimal", "integer", "positiveInt", "unsignedInt")


def _is_moment(node: str, name: str) -> bool:
    element = _element(node, name)
    return element is not None and not element.many and element.types[0] in ("date", "dateTime", "instant")


def _single_primitive(node: str, name: str) -> bool:
    element = _element(node, name)
    return element is not None and not element.many and not element.choice and _primitive(element)


