"""Resources that say one word wherever R4 lets a resource say anything, made from the definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from fhir_server.spec.definitions import Element, r4

CANARY: Final = "hoopoe"
"""The word; it stands in no definition, setting or message."""

_DEPTH: Final = 4
_SHOWN: Final = {"Identifier": {"value"}, "Coding": {"version"}, "HumanName": None, "Address": None, "ContactPoint": None}
"""Parts of data types that are who, where and which, not narrative; None: all of it."""
_NAMES: Final = frozenset({
    "Coverage.subscriberId", "Coverage.dependent", "Coverage.network", "Coverage.class.value", "Claim.insurance.preAuthRef", "ClaimResponse.preAuthRef", "Patient.contact", "RelatedPerson.name", "Condition.abatementString",
})  # fmt: skip
"""Strings that billing works with by name."""
_VALUES: Final[dict[str, Any]] = {
    "boolean": False, "integer": 1, "positiveInt": 1, "unsignedInt": 1, "decimal": 1, "date": "2026-01-02", "dateTime": "2026-01-02T00:00:00Z", "instant": "2026-01-02T00:00:00Z", "time": "10:00:00",
    "code": "x", "id": "x1", "uri": "urn:x:1", "url": "http://a.example/x", "canonical": "http://a.example/x", "oid": "urn:oid:1.2.3", "uuid": "urn:uuid:11111111-1111-4111-8111-111111111111",
    "base64Binary": "aG9vcG9l", "string": CANARY, "markdown": CANARY,
}  # fmt: skip
DIV: Final = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{CANARY}</p></div>'
_PATH: Final = re.compile(r"\[\d+\]")


def spoken(type_: str, left_out: frozenset[str]) -> dict[str, Any]:
    """Make a resource of a type that says the word in every place but some ("Claim.item.bodySite")."""
    return {"resourceType": type_, **_members(type_, type_, _DEPTH, left_out)}


def wrong_in(type_: str, issue: dict[str, Any], left_out: frozenset[str]) -> set[str]:
    """Name the places to leave out for an issue: where it is, or what an invariant speaks of there."""
    (said,) = issue.get("expression") or [type_]
    place = _PATH.sub("", said)
    node = _node(place)
    if not node:
        return {place, ".".join(place.split(".")[:2])} - {type_}
    names = [_choose(element)[0] for element in r4().elements(node) if not element.required]
    spoken_of = {f"{place}.{name}" for name in names if re.search(rf"\b{re.sub('[A-Z].*', '', name)}", issue["diagnostics"].partition(":")[2])} - left_out
    if spoken_of:
        return spoken_of
    return {place} if "." in place else {f"{place}.{name}" for name in names[-1:]}


def _node(place: str) -> str:
    """The type or backbone element at a place; empty where it is none that invariants look into from above."""
    return place if r4().has_elements(place) else ""


def _members(node: str, path: str, depth: int, left_out: frozenset[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for element in r4().elements(node):
        name, type_ = _choose(element)
        place = f"{path}.{name}"
        if place in left_out or place in _NAMES or element.name in ("id", "meta", "implicitRules", "language", "modifierExtension"):
            continue
        value = _value(element, type_, place, depth, left_out)
        if value is not None:
            made[name] = [value] if element.many else value
    return made


def _choose(element: Element) -> tuple[str, str]:
    """Take of a choice what says most."""
    named = element.json_types()
    for wanted in ("string", "markdown", "CodeableConcept", "Annotation", "Attachment", "Reference"):
        for name, type_ in named.items():
            if type_ == wanted:
                return name, type_
    return next(iter(named.items()))


def _value(element: Element, type_: str, place: str, depth: int, left_out: frozenset[str]) -> Any:
    special = _special(type_, place)
    if special is not None:
        return special
    if type_ in r4().primitive_types:
        return _primitive(element, type_, depth)
    if depth <= 0 and not element.required:
        return None
    shown = _SHOWN.get(type_, frozenset())
    if shown is None:
        return None
    return _members(element.node or type_, place, depth - 1, left_out | {f"{place}.{each}" for each in shown}) or None


def _special(type_: str, place: str) -> Any:
    """What must have a certain shape to be valid at all."""
    if type_ == "Narrative":
        return {"status": "generated", "div": DIV}
    if type_ == "Attachment":
        return {"contentType": "text/plain", "data": "aG9vcG9l", "title": CANARY}
    if type_ == "Extension":
        return {"url": "http://a.example/words", "valueString": CANARY}
    if type_ == "Reference":
        return {"reference": "Patient/p1", "display": CANARY} if place.rpartition(".")[2] in ("patient", "subject", "beneficiary", "for") else {"display": CANARY}
    if type_ == "Resource":
        return {"resourceType": "Basic", "id": "in", "text": {"status": "generated", "div": DIV}, "code": {"text": CANARY}, "subject": {"reference": "#"}} if place.endswith(".contained") else None
    if type_ in ("Quantity", "Money", "Period", "Range", "Ratio", "Timing", "SampledData", "Meta"):
        return {"Quantity": {"value": 1, "unit": CANARY}, "Money": {"value": 1, "currency": "USD"}, "Period": {"start": "2026-01-02"}}.get(type_)
    return None


def _primitive(element: Element, type_: str, depth: int) -> Any:
    if type_ == "code" and element.value_set is not None and element.value_set.codes:
        return min(element.value_set.flat())
    if type_ in ("string", "markdown") or element.required or type_ == "base64Binary":
        return _VALUES.get(type_)
    return None


def places(value: Any) -> Iterator[str]:
    """Yield every string in which the word stands."""
    if isinstance(value, dict):
        for each in value.values():
            yield from places(each)
    elif isinstance(value, list):
        for each in value:
            yield from places(each)
    elif isinstance(value, str) and (CANARY in value or value == _VALUES["base64Binary"]):
        yield value
