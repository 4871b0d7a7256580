"""The operations this server has: the table that the routes and the CapabilityStatement are made of.

Spec: https://hl7.org/fhir/R4/operationslist.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from fhir_server.names import BASE

SYSTEM: Final = "system"
TYPE: Final = "type"
INSTANCE: Final = "instance"
_CANONICAL: Final = "http://hl7.org/fhir/OperationDefinition/"


class Operation(NamedTuple):
    """One operation: its name without the $, the id of its OperationDefinition (an address, if it is not R4's), and where it can be called."""

    name: str
    definition: str
    levels: tuple[str, ...]
    methods: tuple[str, ...]
    types: tuple[str, ...] = ()
    """Resource types that have it; none means every type."""

    @property
    def canonical(self) -> str:
        """Canonical URL of the OperationDefinition."""
        return self.definition if "://" in self.definition else _CANONICAL + self.definition

    def rules(self) -> Iterator[str]:
        """Addresses, as the routes write them."""
        if SYSTEM in self.levels:
            yield f"/${self.name}"
        for type_ in self.types or ("<type_>",):
            if TYPE in self.levels:
                yield f"/{type_}/${self.name}"
            if INSTANCE in self.levels:
                yield f"/{type_}/<id_>/${self.name}"


OPERATIONS: Final = (
    Operation("everything", "Patient-everything", (TYPE, INSTANCE), ("GET", "POST"), ("Patient",)),
    Operation("everything", "Encounter-everything", (INSTANCE,), ("GET", "POST"), ("Encounter",)),
    Operation("validate", "Resource-validate", (TYPE, INSTANCE), ("POST",)),
    Operation("meta", "Resource-meta", (SYSTEM, TYPE, INSTANCE), ("GET", "POST")),
    Operation("meta-add", "Resource-meta-add", (INSTANCE,), ("POST",)),
    Operation("meta-delete", "Resource-meta-delete", (INSTANCE,), ("POST",)),
    Operation("reindex", f"{BASE}/OperationDefinition/reindex", (SYSTEM, TYPE), ("GET", "POST")),
)


def of_type(type_: str) -> list[dict[str, str]]:
    """`rest.resource.operation` of the CapabilityStatement."""
    return [_entry(each) for each in OPERATIONS if each.levels != (SYSTEM,) and type_ in (each.types or (type_,))]


def of_system() -> list[dict[str, str]]:
    """`rest.operation` of the CapabilityStatement."""
    return [_entry(each) for each in OPERATIONS if SYSTEM in each.levels]


def _entry(operation: Operation) -> dict[str, str]:
    return {"name": operation.name, "definition": operation.canonical}
