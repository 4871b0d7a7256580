"""Parts of a resource with their types: what a path finds, what it finds below, and what value it stands for.

Spec: https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fhir_server.fhirpath.quantity import Quantity, fhir_quantity
from fhir_server.fhirpath.temporal import read_temporal
from fhir_server.spec.definitions import r4

_INTEGERS: Final = frozenset({"integer", "positiveInt", "unsignedInt"})
_MOMENTS: Final = frozenset({"date", "dateTime", "instant", "time"})
_QUANTITIES: Final = frozenset({"Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity"})


class Part:
    """A part of a resource: its JSON, of a primitive also its id and extensions, and the type that the definitions give it."""

    __slots__ = ("extra", "type", "value")

    def __init__(self, type_: str, value: Any, extra: Any = None) -> None:
        """Take the type ("Patient", "HumanName", "Patient.contact", "code") and the JSON."""
        self.type = type_
        self.value = value
        self.extra = extra

    def __repr__(self) -> str:
        """Say the type alone: the value may be a patient's."""
        return f"Part({self.type})"


class _Rule(NamedTuple):
    keys: Mapping[str, str]
    """Type by JSON name."""
    only: str
    """The JSON name, where there is one only."""
    primitive: frozenset[str]
    """The JSON names that hold primitives."""


def resource_part(resource: Mapping[str, Any]) -> Part:
    """A resource as a part."""
    return Part(str(resource.get("resourceType")), resource)


@lru_cache(4096)
def _rules(type_: str) -> dict[str, _Rule]:
    try:
        elements = r4().elements(type_)
    except KeyError:
        return {}
    primitives = r4().primitive_types
    found = {}
    for element in elements:
        keys = {key: element.node or code for key, code in element.json_types().items()}
        only = "" if element.choice else element.name
        found[element.name.removesuffix("[x]")] = _Rule(keys, only, frozenset(key for key, code in keys.items() if code in primitives))
    return found


def element_types(type_: str, name: str) -> tuple[str, ...] | None:
    """Types that an element of a type may have; none where the type has no such element."""
    rule = _rules("Element" if type_ in r4().primitive_types else type_).get(name)
    return None if rule is None else tuple(rule.keys.values())


def element_names(type_: str) -> tuple[str, ...]:
    """FHIRPath names of the elements of a type."""
    return tuple(_rules(type_))


def children(part: Part, name: str) -> list[Part]:
    """What stands below a part under a FHIRPath name (`value` finds valueQuantity)."""
    owner = part.value
    rules = _rules(part.type)
    if not isinstance(owner, dict):
        owner, rules = part.extra, _rules("Element")
        if not isinstance(owner, dict):
            return []
    rule = rules.get(name)
    if rule is None:
        return []
    if rule.only:
        return list(_held(owner, rule.only, rule))
    return [child for key in owner if (plain := key.lstrip("_")) in rule.keys and (key == plain or plain not in owner) for child in _held(owner, plain, rule)]


def all_children(part: Part) -> list[Part]:
    """Everything that stands directly below a part, in the order of the definitions."""
    rules = _rules(part.type if isinstance(part.value, dict) else "Element")
    return [child for name in rules for child in children(part, name)]


def _held(owner: Mapping[str, Any], key: str, rule: _Rule) -> Iterator[Part]:
    held = owner.get(key)
    type_ = rule.keys[key]
    if key not in rule.primitive:
        for item in held if isinstance(held, list) else () if held is None else (held,):
            yield Part(str(item.get("resourceType")) if type_ == "Resource" and isinstance(item, dict) else type_, item)
        return
    extras = owner.get("_" + key)
    if isinstance(held, list) or isinstance(extras, list):
        values, more = held if isinstance(held, list) else [], extras if isinstance(extras, list) else []
        for index in range(max(len(values), len(more))):
            yield Part(type_, values[index] if index < len(values) else None, more[index] if index < len(more) else None)
    elif held is not None or extras is not None:
        yield Part(type_, held, extras)


def plain(item: Any) -> Any:
    """The system value that an item stands for: a number, a text, a moment, a quantity; itself where it is something else; none where it has no value."""
    if not isinstance(item, Part):
        return item
    value, type_ = item.value, item.type
    if isinstance(value, dict):
        return _quantity(value, item) if type_ in _QUANTITIES else item
    if isinstance(value, str):
        return (read_temporal(value, type_) or value) if type_ in _MOMENTS else value
    if isinstance(value, float):
        return Decimal(repr(value))
    if type_ == "decimal" and isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value


def _quantity(value: Mapping[str, Any], part: Part) -> Quantity | Part:
    number = value.get("value")
    if "comparator" in value or not isinstance(number, (int, float, Decimal)) or isinstance(number, bool):
        return part
    return fhir_quantity(Decimal(str(number)), *(str(value.get(name, "")) for name in ("system", "code", "unit")))


_SYSTEM: Final = {bool: "Boolean", int: "Integer", Decimal: "Decimal", str: "String", Quantity: "Quantity"}
SYSTEM_TYPES: Final = frozenset({*_SYSTEM.values(), "Date", "DateTime", "Time", "Any"})


class TypeInfo(NamedTuple):
    """What type() gives."""

    namespace: str
    name: str


def type_of(item: Any) -> TypeInfo:
    """Namespace and name of an item's type."""
    if isinstance(item, Part):
        return TypeInfo("FHIR", _named(item.type))
    return TypeInfo("System", str(_SYSTEM.get(type(item)) or getattr(item, "kind", "Any")))


def _named(type_: str) -> str:
    if "." not in type_:
        return type_
    return "BackboneElement" if r4().is_resource(type_.partition(".")[0]) else "Element"


@lru_cache(4096)
def ancestors(type_: str) -> frozenset[str]:
    """A FHIR type's name and those of the types that it specializes."""
    found = []
    name = _named(type_)
    while name:
        found.append(name)
        name = r4().base(name)
    return frozenset(found)


def is_fhir_type(name: str) -> bool:
    """Whether FHIR R4 has a type of this name."""
    return r4().has_type(name)
