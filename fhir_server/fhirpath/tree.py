"""The parts of a FHIRPath expression; `at` is where in the expression a part begins.

Spec: http://hl7.org/fhirpath/N1/#expressions
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Literal(NamedTuple):
    """A constant: a text, a number, true, a date, a quantity."""

    value: Any
    at: int


class Empty(NamedTuple):
    """The empty collection, {}."""

    at: int


class Name(NamedTuple):
    """The name of an element, or of a type where a path begins."""

    name: str
    at: int


class Special(NamedTuple):
    """One of this, index and total (written $this)."""

    name: str
    at: int


class Variable(NamedTuple):
    """What the environment knows: %resource."""

    name: str
    at: int


class Call(NamedTuple):
    """A function with its arguments."""

    name: str
    arguments: tuple[Node, ...]
    at: int


class Step(NamedTuple):
    """What stands behind a point: target.name, target.function()."""

    target: Node
    then: Name | Call | Special
    at: int


class Indexer(NamedTuple):
    """One item by its number: target[0]."""

    target: Node
    number: Node
    at: int


class Unary(NamedTuple):
    """A sign before an operand."""

    operator: str
    operand: Node
    at: int


class Binary(NamedTuple):
    """An operator between two operands."""

    operator: str
    left: Node
    right: Node
    at: int


class TypeTest(NamedTuple):
    """The operators `is` and `as`, with a type such as FHIR.Patient."""

    operator: str
    operand: Node
    type: TypeName
    at: int


class TypeName(NamedTuple):
    """The name of a type; the namespace is empty where none is written."""

    namespace: str
    name: str


Node = Literal | Empty | Name | Special | Variable | Call | Step | Indexer | Unary | Binary | TypeTest
