"""Turn StructureDefinition snapshots into element facts: paths, types, cardinalities, targets, bindings.

Spec: https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.spec.package import Package, Resource

_FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM_TYPES = {
    "http://hl7.org/fhirpath/System.String": "string",
    "http://hl7.org/fhirpath/System.Boolean": "boolean",
    "http://hl7.org/fhirpath/System.Integer": "integer",
    "http://hl7.org/fhirpath/System.Decimal": "decimal",
    "http://hl7.org/fhirpath/System.Date": "date",
    "http://hl7.org/fhirpath/System.DateTime": "dateTime",
    "http://hl7.org/fhirpath/System.Time": "time",
}
ElementFact = list[Any]


class StructureFacts:
    """Element facts of every type, with shared tables for reference targets and bound value sets."""

    def __init__(self, package: Package) -> None:
        """Collect the facts of all specializations in the package."""
        self.types: dict[str, dict[str, Any]] = {}
        self.targets: list[list[str]] = []
        self.value_sets: list[str] = []
        for definition in package.of_type("StructureDefinition"):
            if definition.get("derivation") == "constraint" or definition["kind"] == "logical":
                continue
            self.types[str(definition["type"])] = self._type(definition)

    def _type(self, definition: Resource) -> dict[str, Any]:
        nodes: dict[str, list[ElementFact]] = {}
        for element in definition["snapshot"]["element"]:
            parent, _, name = str(element["path"]).rpartition(".")
            if parent:
                nodes.setdefault(parent, []).append(self._element(name, element))
        if definition["kind"] == "resource":
            nodes[str(definition["type"])][0][3] = ["id"]
        if definition["kind"] == "primitive-type":
            nodes = {}
        base = str(definition.get("baseDefinition", "")).removeprefix(_PROFILE)
        return {"kind": definition["kind"], "abstract": definition["abstract"], "base": base, "nodes": nodes}

    def _element(self, name: str, element: Resource) -> ElementFact:
        """[name, min, many, types, targets index, value set index, content reference]; the tail is cut where empty."""
        types = [_type_code(item) for item in element.get("type", ())]
        fact: ElementFact = [name, element["min"], 0 if element["max"] in ("0", "1") else 1, types]
        fact += [self._targets(element), self._value_set(element), str(element.get("contentReference", "")).removeprefix("#")]
        while fact[-1] in (-1, ""):
            fact.pop()
        return fact

    def _targets(self, element: Resource) -> int:
        names: set[str] = set()
        for item in element.get("type", ()):
            if item["code"] == "Reference":
                names.update(str(url).removeprefix(_PROFILE) for url in item.get("targetProfile", ()))
        if not names or "Resource" in names:
            return -1
        return _index(self.targets, sorted(names))

    def _value_set(self, element: Resource) -> int:
        binding = element.get("binding", {})
        if binding.get("strength") != "required" or "valueSet" not in binding:
            return -1
        return _index(self.value_sets, str(binding["valueSet"]).partition("|")[0])


def _type_code(item: Resource) -> str:
    code = str(item["code"])
    if code not in _SYSTEM_TYPES:
        return code
    for extension in item.get("extension", ()):
        if extension["url"] == _FHIR_TYPE:
            return str(extension.get("valueUrl") or extension.get("valueUri"))
    return _SYSTEM_TYPES[code]


def _index(table: list[Any], value: object) -> int:
    if value not in table:
        table.append(value)
    return table.index(value)
