"""The labelling service: the sensitivity of one resource.

Codes and kinds decide; words may only add; whatever a resource was made from hands its labels on; contained resources and
Bundle entries count as part of it.

Spec: https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final

from chartloop.kernel.access.labels import LABELS, SYSTEM
from fhir_server.labels.rules import Rules, TextRule, load

Lookup = Callable[[str], frozenset[str]]

_OPENING_BYTES: Final = 4096
_OPENING_CHARACTERS: Final = 600
_NO_LABEL: Final[frozenset[str]] = frozenset()


def no_lookup(_reference: str) -> frozenset[str]:
    """Know no other resource."""
    return _NO_LABEL


class LabelService:
    """Labels resources by a fixed set of rules."""

    def __init__(self, rules: Rules | None = None) -> None:
        """Take the rules to apply; None means those that ship with the product."""
        self._rules = rules or load()
        self._of_code = lru_cache(maxsize=16_384)(self._of_code_uncached)

    def labels(self, type_: str, resource: Mapping[str, Any], lookup: Lookup = no_lookup) -> frozenset[str]:
        """Label a resource.

        Args:
            type_: Its type.
            resource: Its parsed body.
            lookup: Labels of a stored resource by its reference ("DocumentReference/1"); empty where it is unknown.

        Returns:
            Codes of `LABELS`. Labels that a client wrote into meta.security count, those it left out are not missed.
        """
        found = set(_stated(resource))
        if type_ not in self._rules.without_codes:
            found |= self._by_codes(resource)
        found |= self._by_text(resource)
        for reference in self.inherited_references(type_, resource):
            found |= lookup(reference)
        for part in _parts(resource):
            found |= self.labels(str(part.get("resourceType", "")), part, lookup)
        return frozenset(found)

    def inherited_references(self, type_: str, resource: Mapping[str, Any]) -> tuple[str, ...]:
        """References whose labels a resource takes over: store them to relabel it when one of them changes."""
        paths = self._rules.inherit.get(type_, ())
        return tuple(dict.fromkeys(reference for path in paths for reference in _references(resource, path)))

    def _by_codes(self, resource: Mapping[str, Any]) -> set[str]:
        found: set[str] = set()
        for coding in _codings(resource, self._rules.by_system.keys()):
            found |= self._of_code(*coding)
        return found

    def _of_code_uncached(self, system: str, code: str) -> frozenset[str]:
        return frozenset(rule.label for rule in self._rules.by_system[system] if rule.matches(code))

    def _by_text(self, resource: Mapping[str, Any]) -> set[str]:
        if not self._rules.texts or resource.get("resourceType") not in TITLES:
            return set()
        title = "\n".join(titles(resource))
        opening = "\n".join(openings(resource))
        return {rule.label for rule in self._rules.texts if says(rule, title, opening)}


TITLES: Final = frozenset({"DocumentReference", "Composition", "DiagnosticReport", "Binary", "Media"})
"""Types whose words are looked at."""


def says(rule: TextRule, title: str, opening: str) -> bool:
    """Whether the words of a rule are where it looks for them."""
    return rule.pattern.search(title if rule.where == "title" else f"{title}\n{opening}") is not None


def _stated(resource: Mapping[str, Any]) -> Iterator[str]:
    """Sensitivity labels in meta.security."""
    meta = resource.get("meta")
    for coding in _listed(meta.get("security") if isinstance(meta, Mapping) else None):
        if coding.get("system") == SYSTEM and coding.get("code") in LABELS:
            yield str(coding["code"])


def _parts(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Contained resources, and those of a Bundle or of Parameters."""
    yield from _listed(resource.get("contained"))
    for wrapper in (*_listed(resource.get("entry")), *_listed(resource.get("parameter"))):
        inner = wrapper.get("resource")
        if isinstance(inner, dict):
            yield inner


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


_ELSEWHERE: Final = frozenset({"meta", "contained"})


def _codings(resource: Mapping[str, Any], systems: AbstractSet[str]) -> list[tuple[str, str]]:
    """Every (system, code) of these systems in a resource, but those of meta and of contained resources."""
    found: list[tuple[str, str]] = []
    stack: list[Any] = [inner for key, inner in resource.items() if key not in _ELSEWHERE]
    while stack:
        item = stack.pop()
        if type(item) is dict:
            system = item.get("system")
            if type(system) is str and system in systems and type(code := item.get("code")) is str:
                found.append((system, code))
            for inner in item.values():
                if type(inner) is not str:  # most values are strings, and hold nothing
                    stack.append(inner)  # noqa: PERF401 - a generator costs more than it saves here
        elif type(item) is list:
            stack += item
    return found


def _references(resource: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """The references, or addresses, that a path of JSON names leads to."""
    values: list[Any] = [resource]
    for name in path:
        values = [inner for value in values if isinstance(value, dict) for inner in _items(value.get(name))]
        if not values:
            return
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict) and isinstance(value.get("reference"), str):
            yield value["reference"]


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else () if value is None else (value,)


def titles(resource: Mapping[str, Any]) -> Iterator[str]:
    """What a document calls itself."""
    for concept in (resource.get("type"), *_listed(resource.get("category")), resource.get("code")):
        if isinstance(concept, Mapping):
            yield str(concept.get("text", ""))
            yield from (str(coding.get("display", "")) for coding in _listed(concept.get("coding")))
    yield from (str(resource.get(name, "")) for name in ("title", "description"))
    yield from (str(attachment.get("title", "")) for attachment in _attachments(resource))


def openings(resource: Mapping[str, Any]) -> Iterator[str]:
    """The first words of what is attached as text."""
    for attachment in _attachments(resource):
        data, kind = attachment.get("data"), str(attachment.get("contentType", ""))
        if isinstance(data, str) and kind.startswith("text/"):
            yield _decoded(data)


def _attachments(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for content in _listed(resource.get("content")):
        attachment = content.get("attachment")
        if isinstance(attachment, Mapping):
            yield attachment
    yield from _listed(resource.get("presentedForm"))
    if resource.get("resourceType") == "Binary":
        yield resource


def _decoded(data: str) -> str:
    """Read the opening of base64 text; what cannot be decoded says nothing."""
    try:
        head = base64.b64decode("".join(data[: _OPENING_BYTES * 2].split())[: _OPENING_BYTES // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return ""
    return head.decode("utf-8", errors="replace")[:_OPENING_CHARACTERS]
