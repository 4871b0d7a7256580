"""OperationDefinitions, generated from the table of operations: what of each published operation is built here.

Spec: https://hl7.org/fhir/R4/operationdefinition.html
"""

from __future__ import annotations

from typing import Any, Final

from fhir_server.operations.table import INSTANCE, OPERATIONS, SYSTEM, TYPE, Operation, Parameter

PLACE: Final = "metadata/OperationDefinition"
"""Below the base; apart from the stored OperationDefinitions, whose ids belong to clients."""


def operation_definition(operation: Operation, base: str) -> dict[str, Any]:
    """Describe one operation."""
    result = {"name": "return", "use": "out", "min": 1, "max": "1", "type": operation.returns}
    return {
        "resourceType": "OperationDefinition",
        "id": _id(operation),
        "url": f"{base}/{PLACE}/{_id(operation)}",
        "name": _name(operation),
        "status": "active",
        "kind": "operation",
        "affectsState": operation.changes,
        "code": operation.name,
        **({} if "://" in operation.definition else {"base": operation.canonical}),
        "resource": list(operation.types) or ["Resource"],
        "system": SYSTEM in operation.levels,
        "type": TYPE in operation.levels,
        "instance": INSTANCE in operation.levels,
        "parameter": [*map(_parameter, operation.takes), result],
    }


def all_definitions(base: str) -> dict[str, Any]:
    """Describe every operation, as a collection."""
    found = [operation_definition(each, base) for each in OPERATIONS]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": each["url"], "resource": each} for each in found]}


def definition_of(id_: str, base: str) -> dict[str, Any] | None:
    """Find one description by the id that R4 publishes the operation under."""
    return next((operation_definition(each, base) for each in OPERATIONS if _id(each) == id_), None)


def _id(operation: Operation) -> str:
    return operation.definition.rpartition("/")[2]


def _name(operation: Operation) -> str:
    return "".join(part.capitalize() for part in _id(operation).split("-"))


def _parameter(parameter: Parameter) -> dict[str, Any]:
    kind = "Any" if parameter.type == "Resource" else parameter.type
    return {
        "name": parameter.name, "use": "in", "min": parameter.least, "max": parameter.most, "documentation": parameter.meaning, "type": kind,
    }  # fmt: skip
