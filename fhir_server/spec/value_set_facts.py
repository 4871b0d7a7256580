"""Expand the value sets of required bindings from the code systems of the package.

A value set whose codes the package does not list (MIME types, languages, UCUM) stays without codes: it is stored, not checked.
Spec: https://hl7.org/fhir/R4/valueset.html#compose
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhir_server.spec.package import Package, Resource

Expansion = dict[str, list[str]]


class ValueSetFacts:
    """Expansions of value sets: codes by code system, or None where the package cannot enumerate them."""

    def __init__(self, package: Package) -> None:
        """Keep the package's value sets and code systems by URL."""
        self._value_sets = package.by_url("ValueSet")
        self._code_systems = package.by_url("CodeSystem")

    def expand(self, url: str, seen: frozenset[str] = frozenset()) -> Expansion | None:
        """Codes of one value set by system, sorted; None when any part of it is not enumerable."""
        value_set = self._value_sets.get(url.partition("|")[0])
        if value_set is None or url in seen or "compose" not in value_set:
            return None
        codes = self._union(value_set["compose"].get("include", ()), seen | {url})
        excluded = self._union(value_set["compose"].get("exclude", ()), seen | {url})
        if codes is None or excluded is None:
            return None
        return {system: sorted(codes[system] - excluded.get(system, set())) for system in sorted(codes)}

    def _union(self, parts: Iterable[Resource], seen: frozenset[str]) -> dict[str, set[str]] | None:
        union: dict[str, set[str]] = {}
        for part in parts:
            expanded = self._part(part, seen)
            if expanded is None:
                return None
            for system, codes in expanded.items():
                union.setdefault(system, set()).update(codes)
        return union

    def _part(self, part: Resource, seen: frozenset[str]) -> Mapping[str, set[str]] | None:
        if "valueSet" in part:
            return None if "system" in part else self._intersection([str(url) for url in part["valueSet"]], seen)
        system = str(part["system"])
        if "concept" in part:
            return {system: {str(concept["code"]) for concept in part["concept"]}}
        codes = self._filtered(system, part.get("filter", ()))
        return None if codes is None else {system: codes}

    def _intersection(self, urls: Iterable[str], seen: frozenset[str]) -> dict[str, set[str]] | None:
        """Codes that are in all of the value sets."""
        common: dict[str, set[str]] | None = None
        for url in urls:
            expanded = self.expand(url, seen)
            if expanded is None:
                return None
            known = expanded if common is None else common
            common = {system: set(codes) & set(known.get(system, ())) for system, codes in expanded.items()}
        return {system: codes for system, codes in (common or {}).items() if codes}

    def _filtered(self, system: str, filters: Iterable[Resource]) -> set[str] | None:
        code_system = self._code_systems.get(system)
        if code_system is None or code_system.get("content") != "complete":
            return None
        parents = parents_of(code_system)
        codes = set(parents)
        for rule in filters:
            if rule["property"] != "concept" or rule["op"] not in ("is-a", "descendent-of", "is-not-a"):
                return None
            below = {code for code in parents if str(rule["value"]) in _ancestors(code, parents)}
            if rule["op"] != "descendent-of":
                below.add(str(rule["value"]))
            codes = codes - below if rule["op"] == "is-not-a" else codes & below
        return codes


def parents_of(code_system: Resource) -> dict[str, set[str]]:
    """Direct parents of every concept: by nesting and by the property subsumedBy."""
    parents: dict[str, set[str]] = {}
    pending = [(concept, "") for concept in code_system.get("concept", ())]
    while pending:
        concept, parent = pending.pop()
        code = str(concept["code"])
        above = parents.setdefault(code, set())
        if parent:
            above.add(parent)
        above.update(str(item["valueCode"]) for item in concept.get("property", ()) if item["code"] == "subsumedBy")
        pending.extend((child, code) for child in concept.get("concept", ()))
    return parents


def _ancestors(code: str, parents: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    pending = [code]
    while pending:
        for parent in parents.get(pending.pop(), ()):
            if parent not in found:
                found.add(parent)
                pending.append(parent)
    return found
