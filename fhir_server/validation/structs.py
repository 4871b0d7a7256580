"""Generate msgspec Structs from the definitions: a decode that succeeds is a resource without errors.

The other way round does not hold: what a decode refuses is judged by validation_errors, which also knows the rare legal cases
(null beside an extension in a list, an exotic reference), so that this path may be strict and fast.
Spec: https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec

from fhir_server.spec.definitions import Definitions, Element
from fhir_server.validation.primitives import INTEGER_RANGES, PATTERNS, is_base64
from fhir_server.validation.references import reference_pattern
from fhir_server.validation.xhtml import xhtml_problem

_UNSET = msgspec.UNSET
Check = Callable[[Any], None]


class StructTypes:
    """The Structs of all types, made when first needed."""

    def __init__(self, definitions: Definitions, accept: Callable[[msgspec.Raw, str], None]) -> None:
        """Take the definitions, and a function that raises ValueError unless a nested resource (raw, where: its node) is right."""
        self._definitions = definitions
        self._accept = accept
        self._structs: dict[tuple[str, tuple[str, ...]], Any] = {}

    def of(self, node: str, targets: tuple[str, ...] = ()) -> Any:
        """The Struct of a type, or of a backbone element; References come with the types they may point at."""
        key = (node, targets)
        if key not in self._structs:
            self._build(key)
        return self._structs[key]

    def _build(self, key: tuple[str, tuple[str, ...]]) -> None:
        node, targets = key
        elements = self._definitions.elements(node)
        root = self._definitions.is_resource(node)
        needed = {_attribute(element.name) for element in elements if element.required and not element.choice}
        names = [name for element in elements for name in self._names(element)]
        checks = list(self._checks(node, elements))
        fields = [(_attribute(name), Any) if _attribute(name) in needed else (_attribute(name), Any, _UNSET) for name in names]
        struct = msgspec.defstruct(
            node.replace(".", "_"),
            [*([("resourceType", Any)] if root else []), *fields],
            namespace={"__post_init__": _all_of(checks)} if checks else None,
            rename={_attribute(name): name for name in names},
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        # Registered before its field types are known, because types contain each other; msgspec reads the annotations on first use.
        self._structs[key] = struct
        annotations = struct.__annotations__
        if root:
            annotations["resourceType"] = Literal[node]
        for element in elements:
            for name, type_ in self._annotations(element, targets if element.name in ("reference", "type") else ()):
                annotations[_attribute(name)] = type_ if _attribute(name) in needed else type_ | msgspec.UnsetType

    def _names(self, element: Element) -> Iterator[str]:
        """JSON names; an underscore sibling only where it is simple, the rest is for the thorough pass."""
        for name, type_ in element.json_types().items():
            yield name
            if self._sibling(element, type_):
                yield "_" + name

    def _sibling(self, element: Element, type_: str) -> bool:
        return not element.many and not element.choice and type_ in self._definitions.primitive_types and element.name != "id"

    def _annotations(self, element: Element, reference: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, type_ in element.json_types().items():
            value: Any = self._type(element, type_, reference)
            yield name, Annotated[list[value], msgspec.Meta(min_length=1)] if element.many else value
            if self._sibling(element, type_):
                yield "_" + name, self.of("Element")

    def _type(self, element: Element, type_: str, reference: tuple[str, ...]) -> Any:
        if element.node:
            return self.of(element.node)
        if type_ == "Resource":
            return msgspec.Raw
        if element.name == "reference" and type_ == "string":
            return Annotated[str, msgspec.Meta(pattern=reference_pattern(reference))]
        if element.name == "type" and type_ == "uri" and reference:
            return Annotated[str, msgspec.Meta(pattern=rf"^(?:{'|'.join(reference)})\Z")]
        if type_ not in self._definitions.primitive_types:
            return self.of(type_, element.targets if type_ == "Reference" else ())
        if type_ == "code" and element.value_set and element.value_set.codes:
            return Literal[tuple(sorted(element.value_set.flat()))]
        return primitive_annotation(type_)

    def _checks(self, node: str, elements: tuple[Element, ...]) -> Iterator[Check]:
        for element in elements:
            attribute = _attribute(element.name)
            if element.choice:
                names = list(self._names(element))
                yield _choice_check([_attribute(name) for name in names], required=element.required)
                yield from (_each(_attribute(name), _check_base64) for name in names if name.endswith("Base64Binary"))
            elif "Resource" in element.types:
                yield _each(attribute, lambda raw: self._accept(raw, node))
            elif "base64Binary" in element.types:
                yield _each(attribute, _check_base64)
            elif "xhtml" in element.types:
                yield _each(attribute, _check_xhtml)
            elif "CodeableConcept" in element.types and element.value_set and element.value_set.codes is not None:
                yield _each(attribute, _concept_check(element.value_set.codes))
        if node == "Extension":
            values = [_attribute(name) for element in elements if element.choice for name in self._names(element)]
            yield _extension_check(values)


def primitive_annotation(type_: str) -> Any:
    """The msgspec type of a primitive."""
    if type_ == "boolean":
        return bool
    if type_ == "decimal":
        return float
    if type_ in INTEGER_RANGES:
        low, high = INTEGER_RANGES[type_]
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    if type_ in PATTERNS:
        return Annotated[str, msgspec.Meta(pattern=PATTERNS[type_])]
    return Annotated[str, msgspec.Meta(min_length=1)]


def _attribute(name: str) -> str:
    return name + "_" if keyword.iskeyword(name) else name


def _all_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(struct: Any) -> None:
        for one in checks:
            one(struct)

    return check


def _choice_check(names: list[str], *, required: bool) -> Check:
    """At most one of the attributes is set; exactly one where the element is required."""
    least = 1 if required else 0

    def check(struct: Any) -> None:
        if not least <= len(names) - [getattr(struct, name) for name in names].count(_UNSET) <= 1:
            message = "choice"
            raise ValueError(message)

    return check


def _extension_check(values: list[str]) -> Check:
    def check(struct: Any) -> None:
        valued = [getattr(struct, name) for name in values].count(_UNSET) != len(values)
        if valued == (struct.extension is not _UNSET):
            message = "ext-1"
            raise ValueError(message)

    return check


def _each(name: str, check_value: Callable[[Any], None]) -> Check:
    def check(struct: Any) -> None:
        value = getattr(struct, name)
        if value is _UNSET:
            return
        for item in value if isinstance(value, list) else (value,):
            check_value(item)

    return check


def _check_base64(value: str) -> None:
    if not is_base64(value):
        message = "base64"
        raise ValueError(message)


def _check_xhtml(value: str) -> None:
    if xhtml_problem(value):
        message = "xhtml"
        raise ValueError(message)


def _concept_check(codes: Any) -> Check:
    none: frozenset[str] = frozenset()

    def check(concept: Any) -> None:
        if concept.coding is _UNSET or not any(coding.code in codes.get(coding.system, none) for coding in concept.coding):
            message = "binding"
            raise ValueError(message)

    return check
