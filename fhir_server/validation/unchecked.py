"""What was stored without being checked: codes of code systems that are not loaded, bindings that nobody can enumerate.

Spec: https://hl7.org/fhir/R4/terminologies.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chartloop.kernel.errors import Issue
from fhir_server.spec.definitions import Element, r4


def unchecked_codes(resource: Mapping[str, Any], path: str = "") -> Iterator[Issue]:
    """A warning per coding of an unknown code system, an information per code of a value set without a list."""
    type_ = str(resource["resourceType"])
    yield from _node(resource, type_, path or type_)


def _node(value: Mapping[str, Any], node: str, path: str) -> Iterator[Issue]:
    if node == "Coding":
        if "code" in value and value.get("system") not in r4().code_systems:
            yield Issue("warning", "not-found", "the code system is not loaded: the code was not checked", path)
        return
    for element in r4().elements(node):
        for name, type_ in element.json_types().items():
            if name in value:
                yield from _items(value[name], element, type_, f"{path}.{element.name.removesuffix('[x]')}")


def _items(value: object, element: Element, type_: str, path: str) -> Iterator[Issue]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _item(item, element, type_, f"{path}[{index}]")
    else:
        yield from _item(value, element, type_, path)


def _item(value: object, element: Element, type_: str, path: str) -> Iterator[Issue]:
    if element.value_set is not None and element.value_set.codes is None and type_ in ("code", "CodeableConcept"):
        yield Issue("information", "not-supported", "the codes of this value set are not listed here: not checked", path)
    if not isinstance(value, dict):
        return
    if type_ == "Resource":
        yield from unchecked_codes(value, path)
    else:
        yield from _node(value, element.node or type_, path)
