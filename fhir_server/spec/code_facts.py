"""Collect the code systems that the package lists completely, with their hierarchies, and every value set that can be told from them.

What the package does not list stays out: codes of SNOMED CT or LOINC, unless a value set names them one by one.
Spec: https://hl7.org/fhir/R4/codesystem.html#hierarchy, https://hl7.org/fhir/R4/valueset.html#compose
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.spec.package import Package, Resource
from fhir_server.spec.value_set_facts import Expansion, ValueSetFacts, parents_of

_IS_A = (None, "is-a")
"""A hierarchy that does not say what it means is read as R4's own filters read it."""

Codes = dict[str, list[str] | None]
"""Codes by system; None: every code of it."""


def code_facts(package: Package) -> dict[str, Any]:
    """Systems: the parents of each code, by code. Value sets: version, and codes by system."""
    systems = package.by_url("CodeSystem")
    listed = {url: each for url, each in systems.items() if each.get("content") == "complete" and each.get("concept")}
    value_sets = package.by_url("ValueSet")
    expansions = ValueSetFacts(package)
    codes = {url: _codes(each, expansions.expand(url)) for url, each in value_sets.items()}
    return {
        "systems": {url: _hierarchy(listed[url]) for url in sorted(listed)},
        "valueSets": {url: [str(value_sets[url].get("version", "")), codes[url]] for url in sorted(codes) if codes[url]},
    }


def _hierarchy(system: Resource) -> dict[str, list[str]] | None:
    """Parents of each code; None where the hierarchy is not one of subsumption."""
    if system.get("hierarchyMeaning") not in _IS_A:
        return None
    parents = parents_of(system)
    return {code: sorted(parents[code]) for code in sorted(parents)}


def _codes(value_set: Resource, expansion: Expansion | None) -> Codes | None:
    """Codes of a value set: as expanded, or with whole systems that nobody lists."""
    if expansion is not None:
        return dict(expansion)
    compose = value_set.get("compose", {})
    return None if compose.get("exclude") else _whole_systems(compose.get("include", ()))


def _whole_systems(parts: Iterable[Resource]) -> Codes | None:
    codes: dict[str, set[str] | None] = {}
    for part in parts:
        if "valueSet" in part or "filter" in part:
            return None
        system = str(part["system"])
        known = codes.setdefault(system, set())
        if "concept" not in part:
            codes[system] = None
        elif known is not None:
            known.update(str(concept["code"]) for concept in part["concept"])
    return {system: None if found is None else sorted(found) for system, found in sorted(codes.items())}
