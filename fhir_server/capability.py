"""CapabilityStatement, generated from the routes and the search parameters that are built.

Spec: https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chartloop.kernel import clock
from fhir_server.operations import table
from fhir_server.patching.documents import FORMATS
from fhir_server.search.chains import MAX_DEPTH
from fhir_server.search.criteria import MODIFIERS, searchable_params
from fhir_server.search.hops import MAX_LINKED
from fhir_server.search.params import for_type
from fhir_server.type_ids import TYPE_IDS

_SYSTEM: Final = frozenset({"transaction", "batch", "history-system"})
_INTERNAL: Final = frozenset({"AuditEvent"})
"""Not written through the API."""


def capability_statement(base: str, interactions: Sequence[str], *, several_deleted: bool = False) -> bytes:
    """Say what this server does."""
    on_types = sorted({name for name in interactions if name not in _SYSTEM})
    on_system = sorted({name for name in interactions if name in _SYSTEM})
    rest = {
        "mode": "server",
        "security": {
            "cors": True,
            "service": [
                {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}]}
            ],
            "extension": [_oauth_uris(base)],
        },
        "documentation": _searching(),
        "resource": [_resource(type_, on_types, several_deleted=several_deleted) for type_ in sorted(set(TYPE_IDS) - _INTERNAL)],
        "interaction": [{"code": code} for code in on_system],
        **({"operation": operations} if (operations := table.of_system()) else {}),
    }
    return msgspec.json.encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": clock.iso(clock.now_us()),
            "kind": "instance",
            "software": {"name": "Chartloop"},
            "implementation": {"description": "Chartloop FHIR server", "url": base},
            "fhirVersion": "4.0.1",
            "format": ["json", "application/fhir+json"],
            "patchFormat": list(FORMATS),
            "rest": [rest],
        }
    )


def _resource(type_: str, interactions: Sequence[str], *, several_deleted: bool) -> dict[str, Any]:
    params = searchable_params(type_, for_type)
    includes = sorted(f"{type_}:{code}" for code, param in params.items() if param.type == "reference")
    return {
        "type": type_,
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple" if several_deleted else "single",
        **({"searchInclude": includes} if includes else {}),
        "searchParam": [{"name": code, "type": params[code].type} for code in sorted(params)],
        **({"operation": operations} if (operations := table.of_type(type_)) else {}),
    }


def _searching() -> str:
    """Say in words what a searchParam entry has no element for."""
    modifiers = "; ".join(
        f"{kind}: {', '.join(f':{name}' for name in sorted(names) if name)}" for kind, names in sorted(MODIFIERS.items()) if names - {""}
    )
    return (
        f"Modifiers of every parameter: :missing. Of kinds: {modifiers}; reference: :identifier and :[type]. Chained parameters and "
        f"_has, in each other too, over up to {MAX_DEPTH} references and {MAX_LINKED} resources at one end of each."
    )


def _oauth_uris(base: str) -> dict[str, Any]:
    """Name the authorization endpoints for clients that read nothing else."""
    root = base.removesuffix("/fhir")
    return {
        "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
        "extension": [{"url": "authorize", "valueUri": f"{root}/oauth/authorize"}, {"url": "token", "valueUri": f"{root}/oauth/token"}],
    }
