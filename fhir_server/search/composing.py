"""The codes of a ValueSet resource, told from its compose; what cannot be told is refused, never guessed.

Spec: https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fhir_server.search.terminology import Codes, Terminology

Json = Mapping[str, Any]


class Unanswerable(Exception):
    """What nobody here can tell: a value set or a code system, by its name."""


class Composing:
    """Composes value sets out of code systems and of each other."""

    def __init__(self, terminology: Terminology, stored: Callable[[str], Json | None]) -> None:
        """Take who knows codes, and what finds a stored ValueSet."""
        self._terminology = terminology
        self._stored = stored

    def codes(self, url: str, seen: frozenset[str] = frozenset()) -> Codes:
        """Codes of a value set by its address: one that is stored here counts before one that the terminology knows.

        Raises:
            Unanswerable: Neither is there, or a part of it cannot be told.
        """
        if url in seen:
            raise Unanswerable(f"value set {url}, which includes itself,")
        resource = self._stored(url)
        found = self._terminology.expand(url) if resource is None else self._composed(url, resource, seen | {url})
        if found is None:
            raise Unanswerable(f"value set {url}")
        return found

    def _composed(self, url: str, resource: Json, seen: frozenset[str]) -> Codes | None:
        compose = resource.get("compose")
        if not compose or not compose.get("include"):
            return _expanded(url, resource)
        included = self._union(compose["include"], seen)
        return _without(included, self._union(compose.get("exclude", ()), seen), url)

    def _union(self, parts: Iterable[Json], seen: frozenset[str]) -> Codes:
        union: dict[str, frozenset[str] | None] = {}
        for part in parts:
            for system, codes in self._part(part, seen).items():
                known = union.get(system, frozenset())
                union[system] = None if known is None or codes is None else known | codes
        return union

    def _part(self, part: Json, seen: frozenset[str]) -> Codes:
        """What a part names is in all of its value sets, and of its system where it has one."""
        wanted = [self.codes(str(url), seen) for url in part.get("valueSet", ())]
        if "system" in part:
            wanted.append({part["system"]: self._of_system(part)})
        common = wanted[0] if wanted else {}
        for each in wanted[1:]:
            common = {system: _both(common[system], each[system]) for system in common.keys() & each.keys()}
        return common

    def _of_system(self, part: Json) -> frozenset[str] | None:
        system = str(part["system"])
        if "concept" in part:
            return frozenset(str(concept["code"]) for concept in part["concept"])
        if "version" in part:
            raise Unanswerable(f"version {part['version']} of code system {system}")
        codes: frozenset[str] | None = None
        for rule in part.get("filter", ()):
            codes = _both(codes, self._filtered(system, rule))
        return codes

    def _filtered(self, system: str, rule: Json) -> frozenset[str]:
        code = str(rule.get("value", ""))
        known = rule.get("property") == "concept" and rule.get("op") in ("is-a", "descendent-of")
        found = self._terminology.below(system, code) if known else None
        if found is None:
            raise Unanswerable(f"filter {rule.get('property')} {rule.get('op')} {code} of code system {system}")
        return found - {code} if rule["op"] == "descendent-of" else found


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _without(included: Codes, excluded: Codes, url: str) -> Codes:
    left: dict[str, frozenset[str] | None] = {}
    for system, codes in included.items():
        gone = excluded.get(system, frozenset())
        if gone is None:
            continue
        if codes is None and gone:
            raise Unanswerable(f"value set {url}, which leaves codes out of the whole code system {system},")
        left[system] = None if codes is None else codes - gone
    return left


def _expanded(url: str, resource: Json) -> Codes | None:
    """Codes of a value set that is stored with its expansion alone, if all of it is there."""
    expansion = resource.get("expansion")
    if not expansion:
        return None
    codes: dict[str, frozenset[str] | None] = {}
    listed, pending = 0, list(expansion.get("contains", ()))
    while pending:
        each = pending.pop()
        listed += 1
        pending += each.get("contains", ())
        if "code" in each and not each.get("abstract"):
            system = str(each.get("system", ""))
            codes[system] = (codes.get(system) or frozenset()) | {str(each["code"])}
    if expansion.get("total", listed) > listed or expansion.get("offset"):
        raise Unanswerable(f"value set {url}, of whose expansion a part alone is stored,")
    return codes
