"""Turn the constraints of StructureDefinition snapshots into facts: key, severity, words, expression, and where each stands.

What a type's own definition says of all its values is stored there alone, although every snapshot repeats it.
Spec: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.spec.package import Package, Resource

_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
ConstraintFact = list[str]


def constraint_facts(package: Package) -> tuple[list[ConstraintFact], dict[str, list[int]]]:
    """[key, severity, words, expression] of each constraint, and which of them stand at a path."""
    definitions = {str(each["type"]): each for each in package.of_type("StructureDefinition") if _is_type(each)}
    table: list[ConstraintFact] = []
    at: dict[str, list[int]] = {}
    for name in sorted(definitions):
        for element in definitions[name]["snapshot"]["element"]:
            implied = {fact for code in _implied_by(name, element, definitions) for fact in _root(definitions, code)}
            for fact in _own(element):
                if fact not in implied:
                    if list(fact) not in table:
                        table.append(list(fact))
                    at.setdefault(str(element["path"]), []).append(table.index(list(fact)))
    return table, at


def _is_type(definition: Resource) -> bool:
    return definition.get("derivation") != "constraint" and definition["kind"] != "logical"


def _implied_by(type_: str, element: Resource, definitions: dict[str, Resource]) -> Iterator[str]:
    """Types whose own constraints hold here anyway."""
    if element["path"] == type_:
        yield str(definitions[type_].get("baseDefinition", "")).removeprefix(_PROFILE)
        return
    yield "Element"
    yield from (str(each["code"]) for each in element.get("type", ()))


def _root(definitions: dict[str, Resource], type_: str) -> list[tuple[str, str, str, str]]:
    return list(_own(definitions[type_]["snapshot"]["element"][0])) if type_ in definitions else []


def _own(element: Resource) -> Iterator[tuple[str, str, str, str]]:
    constraints: list[Any] = element.get("constraint", [])
    for each in constraints:
        yield str(each["key"]), str(each["severity"]), str(each["human"]), str(each.get("expression", ""))
