"""The operations this server has: the table that routes, CapabilityStatement, OperationDefinitions and OpenAPI are made of.

Spec: https://hl7.org/fhir/R4/operationslist.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from fhir_server.names import BASE

SYSTEM: Final = "system"
TYPE: Final = "type"
INSTANCE: Final = "instance"
VERSION: Final = "version"
_CANONICAL: Final = "http://hl7.org/fhir/OperationDefinition/"


class Parameter(NamedTuple):
    """What an operation takes: in the address where its type is primitive, else in a Parameters resource or as the body."""

    name: str
    type: str
    meaning: str
    least: int = 0
    most: str = "1"


class Operation(NamedTuple):
    """One operation: its name without the $, the id of its OperationDefinition (an address, if it is not R4's), and where it can be called."""

    name: str
    definition: str
    levels: tuple[str, ...]
    methods: tuple[str, ...]
    types: tuple[str, ...] = ()
    """Resource types that have it; none means every type."""
    changes: bool = False
    """Whether it stores something."""
    takes: tuple[Parameter, ...] = ()
    returns: str = "OperationOutcome"
    """Type of the one parameter that comes back."""

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
            if VERSION in self.levels:
                yield f"/{type_}/<id_>/_history/<version>/${self.name}"


_PAGE: Final = (
    Parameter("_since", "instant", "Only what was stored since."),
    Parameter("_type", "code", "Only resources of these types.", most="*"),
    Parameter("_count", "integer", "Most resources on a page."),
)
_CARE: Final = (
    Parameter("start", "date", "Only care that lasted until then or later."),
    Parameter("end", "date", "Only care that began until then."),
)
_TRIAL: Final = (
    Parameter("resource", "Resource", "What is to be validated; a delete needs none."),
    Parameter("mode", "code", "create, update or delete."),
)
_META: Final = (Parameter("meta", "Meta", "Profiles, tags and security labels.", least=1),)
_GLASS: Final = (
    Parameter("code", "code", "ETREAT, TREAT, PATRQT or PUBHLTH of v3-ActReason.", least=1),
    Parameter("reason", "string", "Why, in words; kept in the audit log alone.", least=1),
)

OPERATIONS: Final = (
    Operation("everything", "Patient-everything", (TYPE, INSTANCE), ("GET", "POST"), ("Patient",), takes=(*_CARE, *_PAGE), returns="Bundle"),
    Operation("everything", "Encounter-everything", (INSTANCE,), ("GET", "POST"), ("Encounter",), takes=_PAGE, returns="Bundle"),
    Operation("validate", "Resource-validate", (TYPE, INSTANCE), ("POST",), takes=_TRIAL),
    Operation("meta", "Resource-meta", (SYSTEM, TYPE, INSTANCE, VERSION), ("GET", "POST"), returns="Meta"),
    Operation("meta-add", "Resource-meta-add", (INSTANCE,), ("POST",), changes=True, takes=_META, returns="Meta"),
    Operation("meta-delete", "Resource-meta-delete", (INSTANCE,), ("POST",), changes=True, takes=_META, returns="Meta"),
    Operation("break-glass", f"{BASE}/OperationDefinition/break-glass", (INSTANCE,), ("POST",), ("Patient",), changes=True, takes=_GLASS, returns="Parameters"),
    Operation("mend-glass", f"{BASE}/OperationDefinition/mend-glass", (INSTANCE,), ("POST",), ("Patient",), changes=True, returns="Parameters"),
    Operation("reindex", f"{BASE}/OperationDefinition/reindex", (SYSTEM, TYPE), ("GET", "POST"), changes=True, returns="Parameters"),
)


def called(name: str, type_: str, id_: str, method: str) -> Operation | None:
    """Find the operation that a call means, if there is one."""
    level = INSTANCE if id_ else TYPE if type_ else SYSTEM
    for each in OPERATIONS:
        if each.name == name and level in each.levels and method in each.methods and (not type_ or type_ in (each.types or (type_,))):
            return each
    return None


def of_type(type_: str) -> list[dict[str, str]]:
    """`rest.resource.operation` of the CapabilityStatement."""
    return [_entry(each) for each in OPERATIONS if each.levels != (SYSTEM,) and type_ in (each.types or (type_,))]


def of_system() -> list[dict[str, str]]:
    """`rest.operation` of the CapabilityStatement."""
    return [_entry(each) for each in OPERATIONS if SYSTEM in each.levels]


def _entry(operation: Operation) -> dict[str, str]:
    return {"name": operation.name, "definition": operation.canonical}
