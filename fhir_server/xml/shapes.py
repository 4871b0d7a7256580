"""What the XML of each type looks like: its elements in their order, and what is an attribute.

Spec: https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import Final, NamedTuple

from fhir_server.spec.definitions import Element, r4

FHIR: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"
ELEMENT: Final = "Element"
"""What a primitive may have besides its value: an id and extensions."""

_WHOLE: Final = frozenset({"integer", "positiveInt", "unsignedInt"})


class Kind(Enum):
    """How an element is written."""

    TEXT = "a value attribute that is a JSON string"
    WHOLE = "a value attribute that is a whole number"
    DECIMAL = "a value attribute that is a number, digit by digit"
    TRUTH = "a value attribute that is true or false"
    NODE = "elements inside it"
    RESOURCE = "one resource inside it"
    NARRATIVE = "the div of XHTML itself"
    ATTRIBUTE = "an attribute of the element around it"


_PRIMITIVE: Final = frozenset({Kind.TEXT, Kind.WHOLE, Kind.DECIMAL, Kind.TRUTH})


class Slot(NamedTuple):
    """One element of a type, under one of its names."""

    place: int
    name: str
    path: str
    """FHIRPath name: `value` for valueQuantity."""
    kind: Kind
    many: bool
    node: str
    """Of what is inside."""
    primitive: bool
    """Whether it has a value, and in JSON a sibling with an underscore."""


class Shape(NamedTuple):
    """The elements of a type or backbone."""

    node: str
    by_name: dict[str, Slot]
    by_tag: dict[str, Slot]
    """Elements by the name that the parser gives: namespace, space, name."""
    attributes: frozenset[str]


@cache
def shape(node: str) -> Shape:
    """Return the shape of a type ("Patient", "HumanName") or of a backbone inside it ("Patient.contact")."""
    by_name = {
        name: _slot(node, place, name, element, type_)
        for place, element in enumerate(r4().elements(node))
        for name, type_ in element.json_types().items()
    }
    tags = {f"{XHTML if slot.kind is Kind.NARRATIVE else FHIR} {name}": slot for name, slot in by_name.items() if slot.kind is not Kind.ATTRIBUTE}
    return Shape(node, by_name, tags, frozenset(name for name, slot in by_name.items() if slot.kind is Kind.ATTRIBUTE))


@cache
def is_resource(name: str) -> bool:
    """Whether a name is one of a resource type."""
    return r4().is_resource(name)


def _slot(node: str, place: int, name: str, element: Element, type_: str) -> Slot:
    kind = _kind(node, element, type_)
    return Slot(place, name, element.name.removesuffix("[x]"), kind, element.many, element.node or type_, kind in _PRIMITIVE)


def _kind(node: str, element: Element, type_: str) -> Kind:
    if (element.name == "id" and not is_resource(node)) or (node, element.name) == ("Extension", "url"):
        return Kind.ATTRIBUTE
    if type_ == "Resource":
        return Kind.RESOURCE
    if type_ == "xhtml":
        return Kind.NARRATIVE
    if element.node or type_ not in r4().primitive_types:
        return Kind.NODE
    if type_ in _WHOLE:
        return Kind.WHOLE
    return {"decimal": Kind.DECIMAL, "boolean": Kind.TRUTH}.get(type_, Kind.TEXT)
