"""Turn the tree of an expression into Python functions, once; they run as often as there are inputs.

Spec: http://hl7.org/fhirpath/N1/#expressions
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from fhir_server.fhirpath import functions_collections, functions_convert, functions_fhir, functions_math, functions_text, sorting
from fhir_server.fhirpath.errors import Failed, Meaningless, Unanswerable
from fhir_server.fhirpath.functions import FUNCTIONS, Function, LazyCall
from fhir_server.fhirpath.functions import Call as PlainCall
from fhir_server.fhirpath.operators import DECIDED, LOGIC, OPERATORS, answer, is_number, single, truth
from fhir_server.fhirpath.parts import Part, TypeInfo, ancestors, children, is_fhir_type
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.run import Collection, Evaluate, Scope
from fhir_server.fhirpath.tree import Binary, Call, Empty, Indexer, Literal, Name, Node, Special, Step, TypeName, TypeTest, Unary, Variable
from fhir_server.fhirpath.types import type_name, type_test

_MODULES: Final = (functions_collections, functions_convert, functions_fhir, functions_math, functions_text)
"""They register their functions when they are imported."""
_CODE_SYSTEMS: Final = {"ucum": "http://unitsofmeasure.org", "sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
_PREFIXES: Final = {"vs-": "http://hl7.org/fhir/ValueSet/", "ext-": "http://hl7.org/fhir/StructureDefinition/"}
_RESOURCES: Final = frozenset({"context", "resource", "rootResource"})
_TYPE_FUNCTIONS: Final = frozenset({"is", "as", "ofType"})


class Compiler:
    """Compiles one expression."""

    def __init__(self, *, published: bool) -> None:
        """Say whether the expression was published with R4, and is read as loosely as those want it."""
        self._published = published
        self._by_kind: dict[type, Callable[[Any], Evaluate]] = {
            Literal: self._literal, Empty: lambda _: lambda _scope: [], Name: self._name, Special: self._special, Variable: self._variable,
            Call: self._call, Step: self._step, Indexer: self._indexer, Unary: self._unary, Binary: self._binary, TypeTest: self._type_test,
        }  # fmt: skip

    def compile(self, node: Node) -> Evaluate:
        """Compile a part of the tree."""
        return self._by_kind[type(node)](node)

    def _literal(self, node: Literal) -> Evaluate:
        found = [node.value]
        return lambda _: found

    def _name(self, node: Name) -> Evaluate:
        name = node.name
        if is_fhir_type(name) and name[0].isupper():
            return lambda scope: [found for item in scope.this for found in _typed_or_children(item, name)]
        return lambda scope: _below(scope.this, name, scope)

    def _special(self, node: Special) -> Evaluate:
        if node.name == "this":
            return lambda scope: scope.this
        if node.name == "index":
            return lambda scope: [scope.index]
        return lambda scope: scope.total or []

    def _variable(self, node: Variable) -> Evaluate:
        name, at = node.name, node.at
        if name in _RESOURCES:
            attribute = "root" if name == "rootResource" else name
            return lambda scope: [getattr(scope.run, attribute)]
        known = _CODE_SYSTEMS.get(name) or next((url + name.removeprefix(prefix) for prefix, url in _PREFIXES.items() if name.startswith(prefix)), None)
        if known:
            return lambda _: [known]

        def look_up(scope: Scope) -> Collection:
            if name not in scope.run.world.variables:
                raise Unanswerable(f"there is no variable {name if name.isidentifier() else ''}", at)
            found = scope.run.world.variables[name]
            return found if isinstance(found, list) else answer(found)

        return look_up

    def _call(self, node: Call) -> Evaluate:
        return self._applied(lambda scope: scope.this, node)

    def _step(self, node: Step) -> Evaluate:
        target = self.compile(node.target)
        if isinstance(node.then, Call):
            return self._applied(target, node.then)
        if isinstance(node.then, Special):
            raise Meaningless("a path does not go through this", node.at)
        name = node.then.name
        if not _is_fixed(node):
            return lambda scope: _below(target(scope), name, scope)
        place = object()

        def once(scope: Scope) -> Collection:
            found = scope.run.fixed.get(place)
            if found is None:
                found = scope.run.fixed[place] = _below(target(scope), name, scope)
            return found

        return once

    def _applied(self, target: Evaluate, node: Call) -> Evaluate:
        """A function on what a target finds."""
        name, at = node.name, node.at
        if name in _TYPE_FUNCTIONS and len(node.arguments) == 1:
            return self._typed(name, target, type_name(node.arguments[0]), at)
        if name == "sort":
            return sorting.sort(target, node.arguments, self.compile, at)
        function = _function(node)
        if name == "matches" and self._published:
            function = FUNCTIONS["matchesFull"]
        arguments = [self.compile(argument) for argument in node.arguments]
        if function.lazy:
            lazy = function.lazy
            return lambda scope: lazy(LazyCall(scope, target(scope), arguments, at))
        plain = function.plain
        if plain is None:  # a function is one or the other
            raise Meaningless("there is no such function", at)
        if not arguments:
            return lambda scope: plain(PlainCall(scope.run, target(scope), [], at))
        return lambda scope: plain(PlainCall(scope.run, target(scope), [argument(scope) for argument in arguments], at))

    def _indexer(self, node: Indexer) -> Evaluate:
        target, index, at = self.compile(node.target), self.compile(node.number), node.at

        def item(scope: Scope) -> Collection:
            number = single(index(scope), at)
            if number is None:
                return []
            if not isinstance(number, int) or isinstance(number, bool):
                raise Failed("an index is a whole number", at)
            return target(scope)[number : number + 1] if number >= 0 else []

        return item

    def _unary(self, node: Unary) -> Evaluate:
        operand, at, sign = self.compile(node.operand), node.at, -1 if node.operator == "-" else 1

        def signed(scope: Scope) -> Collection:
            value = single(operand(scope), at)
            if value is None:
                return []
            if isinstance(value, Quantity):
                return [value._replace(value=sign * value.value)]
            if not is_number(value):
                raise Failed("only a number has a sign", at)
            return [(-value if isinstance(value, int) else Decimal(value).copy_negate()) if sign < 0 else value]

        return signed

    def _binary(self, node: Binary) -> Evaluate:
        left, right, at = self.compile(node.left), self.compile(node.right), node.at
        if node.operator in LOGIC:
            logic, decided = LOGIC[node.operator], DECIDED.get(node.operator)

            def decide(scope: Scope) -> Collection:
                one = truth(left(scope), at)
                # What is decided by the left side alone needs no right one; an error there would not matter either.
                return answer(logic(one, None if one is not None and one == decided else truth(right(scope), at)))

            return decide
        operator = OPERATORS[node.operator]
        return lambda scope: operator(left(scope), right(scope), scope.run, at)

    def _type_test(self, node: TypeTest) -> Evaluate:
        return self._typed(node.operator, self.compile(node.operand), node.type, node.at)

    def _typed(self, kind: str, target: Evaluate, wanted: TypeName, at: int) -> Evaluate:
        test = type_test(wanted, at, exact=kind != "is", published=self._published)
        if kind == "ofType" or (kind == "as" and self._published):
            return lambda scope: [item for item in target(scope) if test(item)]

        def only(scope: Scope) -> Collection:
            found = target(scope)
            if len(found) > 1:
                raise Failed("one item is needed here, and there are several", at)
            if kind == "is":
                return [test(item) for item in found]
            return [item for item in found if test(item)]

        return only


def _is_fixed(node: Node) -> bool:
    """Whether a path begins at the resource itself: it finds the same for every item that is looked at."""
    if isinstance(node, Step):
        return isinstance(node.then, Name) and _is_fixed(node.target)
    return isinstance(node, Variable) and node.name in _RESOURCES


def _function(node: Call) -> Function:
    function = FUNCTIONS.get(node.name)
    if function is None:
        raise Meaningless("there is no such function", node.at)
    if not function.least <= len(node.arguments) <= function.most:
        raise Meaningless("the function takes another number of arguments", node.at)
    return function


def _below(items: Collection, name: str, scope: Scope) -> Collection:
    found: Collection = []
    for item in items:
        if isinstance(item, Part):
            found += children(item, name)
        elif isinstance(item, TypeInfo) and name in TypeInfo._fields:
            found.append(getattr(item, name))
    scope.run.spend(1 + len(found))
    return found


def _typed_or_children(item: Any, name: str) -> Collection:
    if not isinstance(item, Part):
        return []
    return [item] if name in ancestors(item.type) else children(item, name)
