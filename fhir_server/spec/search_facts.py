"""Collect search parameters and compartments, and give every (type, code) pair a stable small number.

Spec: https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.spec.package import Package, Resource

_RESOURCE = frozenset({"Resource", "DomainResource"})


def search_facts(package: Package) -> list[list[Any]]:
    """[code, type, bases, targets, expression] of each parameter, sorted; extension packages and examples of the core are left out.

    A composite has its components too: [[code, type, targets, expression]], the expression being relative to that of the composite.
    """
    facts = []
    by_url = package.by_url("SearchParameter")
    for parameter in package.of_type("SearchParameter"):
        expression = str(parameter.get("expression", ""))
        if "base" not in parameter or "extension(" in expression.lower() or _is_no_parameter_of_r4(parameter):
            continue
        targets = sorted(str(name) for name in parameter.get("target", ()))
        components = [_component(each, by_url) for each in parameter.get("component", ())]
        fact = [parameter["code"], parameter["type"], sorted(parameter["base"]), targets, " ".join(expression.split())]
        facts.append([*fact, components] if components else fact)
    return sorted(facts)


def search_ids(parameters: Iterable[list[Any]], types: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Number the parameters of every concrete type, sorted by type and code: the index tables hold these numbers."""
    pairs = set()
    for code, _, bases, *_ in parameters:
        for name, facts in types.items():
            if facts["kind"] == "resource" and not facts["abstract"] and (name in bases or _RESOURCE & set(bases)):
                pairs.add((name, code))
    ids: dict[str, dict[str, int]] = {}
    for number, (name, code) in enumerate(sorted(pairs), start=1):
        ids.setdefault(name, {})[code] = number
    return ids


def compartment_facts(package: Package) -> dict[str, dict[str, list[str]]]:
    """Parameters by resource type of each compartment."""
    compartments: dict[str, dict[str, list[str]]] = {}
    for definition in package.of_type("CompartmentDefinition"):
        if definition["id"] != "example":
            members = {str(item["code"]): [str(code) for code in item["param"]] for item in definition["resource"] if item.get("param")}
            compartments[str(definition["code"])] = members
    return compartments


def _component(component: Resource, by_url: Mapping[str, Resource]) -> list[Any]:
    definition = by_url[str(component["definition"])]
    targets = sorted(str(name) for name in definition.get("target", ()))
    return [definition["code"], definition["type"], targets, " ".join(str(component["expression"]).split())]


def _is_no_parameter_of_r4(parameter: Resource) -> bool:
    """The core package carries parameters of extension packs, without an expression over R4 elements, and examples that repeat a code with other targets."""
    return "-extensions-" in str(parameter["id"]) or str(parameter["id"]).partition("-")[0] == "example"
