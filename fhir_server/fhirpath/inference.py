"""Which types a path can lead to: a name that none of them has is a mistake, found before the expression runs.

Spec: http://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation
"""

from __future__ import annotations

from typing import Final

from fhir_server.fhirpath.errors import Meaningless
from fhir_server.fhirpath.parts import SYSTEM_TYPES, ancestors, element_types, is_fhir_type
from fhir_server.fhirpath.tree import Binary, Call, Indexer, Name, Node, Special, Step, TypeName, TypeTest, Unary
from fhir_server.fhirpath.types import type_name
from fhir_server.spec.definitions import r4

Types = frozenset[str] | None
"""FHIR types that a part of an expression can have; none where that is not known."""
_SAME: Final = frozenset({"where", "first", "last", "tail", "skip", "take", "single", "distinct", "trace", "exclude", "intersect", "sort"})
_EACH: Final = frozenset({"where", "select", "all", "exists", "repeat", "aggregate", "trace", "sort", "iif"})
_OPEN: Final = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})
_UNORDERED: Final = frozenset({"children", "descendants"})
_ORDERED: Final = frozenset({"first", "last", "tail", "skip", "take"})


def check_names(tree: Node, type_: str) -> None:
    """Check every name of an expression that is asked of a type.

    Raises:
        Meaningless: A path names an element that nothing there has.
    """
    _Check().types(tree, frozenset({type_}))


class _Check:
    """Follows the types through a tree; `context` is what $this can be."""

    def types(self, node: Node, context: Types) -> Types:
        if isinstance(node, Name):
            return self._first(node, context)
        if isinstance(node, Special):
            return context if node.name == "this" else None
        if isinstance(node, Step):
            return self._step(node, context)
        if isinstance(node, Call):
            return self._call(node, context, context)
        if isinstance(node, Indexer):
            self.types(node.number, context)
            return self.types(node.target, context)
        if isinstance(node, Unary):
            self.types(node.operand, context)
        if isinstance(node, TypeTest):
            found = self.types(node.operand, context)
            return _narrowed(node.type, found) if node.operator == "as" else None
        if isinstance(node, Binary):
            return self._binary(node, context)
        return None

    def _binary(self, node: Binary, context: Types) -> Types:
        left, right = self.types(node.left, context), self.types(node.right, context)
        return left | right if node.operator == "|" and left is not None and right is not None else None

    def _first(self, node: Name, context: Types) -> Types:
        """A name where a path begins: a type, or an element of the context."""
        if context is not None and is_fhir_type(node.name) and node.name[0].isupper():
            named = frozenset(each for each in context if node.name in ancestors(each))
            if named:
                return named
            if any(_elements(each, node.name) is None for each in context) and not _OPEN & context:
                raise Meaningless("nothing here is of this type", node.at)
        return _element(node, context)

    def _step(self, node: Step, context: Types) -> Types:
        target = self.types(node.target, context)
        if isinstance(node.then, Name):
            return _element(node.then, target)
        if isinstance(node.then, Call):
            if node.then.name in _ORDERED and isinstance(node.target, Step | Call) and _is_unordered(node.target):
                raise Meaningless("children have no order", node.at)
            return self._call(node.then, target, context)
        return None

    def _call(self, node: Call, target: Types, context: Types) -> Types:
        if node.name in ("is", "as", "ofType") and len(node.arguments) == 1:
            return _narrowed(type_name(node.arguments[0]), target) if node.name != "is" else None
        inner = target if node.name in _EACH else context
        if node.name == "repeat":
            inner = None  # what it finds is asked again
        found = [self.types(argument, inner) for argument in node.arguments]
        if node.name == "select":
            return found[0] if found else None
        if node.name in ("union", "combine") and found and found[0] is not None and target is not None:
            return target | found[0]
        if node.name == "extension":
            return frozenset({"Extension"})
        return target if node.name in _SAME else None


def _is_unordered(node: Step | Call) -> bool:
    call = node.then if isinstance(node, Step) else node
    return isinstance(call, Call) and call.name in _UNORDERED


def _narrowed(wanted: TypeName, found: Types) -> Types:
    """What is left of the types when one is asked for."""
    if wanted.namespace == "System" or (wanted.name in SYSTEM_TYPES and not is_fhir_type(wanted.name)):
        return None
    if found is not None and len(found) == 1 and not (_OPEN & found) and not any(wanted.name in ancestors(each) for each in found):
        return frozenset()
    return frozenset({wanted.name})


def _elements(type_: str, name: str) -> tuple[str, ...] | None:
    return element_types(type_, name)


def _element(node: Name, context: Types) -> Types:
    if context is None or any(each in _OPEN for each in context):
        return None
    found = [types for each in context if (types := _elements(each, node.name)) is not None]
    if not found:
        raise Meaningless("there is no such element here", node.at)
    reached = frozenset(each for types in found for each in types)
    return None if "Resource" in reached or not reached <= _known() else reached


def _known() -> frozenset[str]:
    return frozenset(r4().nodes()) | r4().primitive_types
