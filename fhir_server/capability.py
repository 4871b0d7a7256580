"""CapabilityStatement, generated from the routes and the search parameters that are built.

Spec: https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from chartloop.kernel import clock
from fhir_server import audit_query
from fhir_server.interactions.search_compartment import COMPARTMENTS
from fhir_server.media_types import NAMES
from fhir_server.operations import table
from fhir_server.patching.documents import FORMATS
from fhir_server.search.chains import MAX_DEPTH
from fhir_server.search.criteria import MODIFIERS, searchable_params
from fhir_server.search.filter_operators import OPERATORS
from fhir_server.search.filters import FILTER
from fhir_server.search.hops import MAX_LINKED
from fhir_server.search.including import MAX_INCLUDED
from fhir_server.search.params import SearchParam
from fhir_server.search.query import MAX_SORT_KEYS
from fhir_server.search.registry import Snapshot
from fhir_server.search.text_parameters import KIND
from fhir_server.search.valued import MAX_VALUED
from fhir_server.search.values import PREFIXES
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_IDS

_SYSTEM: Final = frozenset({"transaction", "batch", "history-system", "search-system"})
_ENDPOINTS: Final = (("authorize", "authorize"), ("token", "token"), ("introspect", "introspect"), ("revoke", "revoke"), ("manage", "apps"))
"""Of the authorization server: name in the extension oauth-uris, and last step of the path."""

_INTERNAL: Final = frozenset({"AuditEvent"})
"""Not written through the API."""
_OF_THE_WHOLE: Final = ({"name": FILTER, "type": "special"}, {"name": "_has", "type": "string"}, {"name": "_list", "type": "string"})
"""What R4 publishes no SearchParameter for."""


def current_statement(store: Store, base: str, interactions: tuple[str, ...]) -> bytes:
    """Say what this server does now: SearchParameter resources add to it."""
    store.parameters.refresh(store.db)
    built = Built(store.parameters.now, full_text=store.full_text, several_deleted=store.delete_most > 1)
    return capability_statement(base, interactions, built)


class Built(NamedTuple):
    """What differs from server to server, or from moment to moment."""

    parameters: Snapshot
    full_text: bool = False
    several_deleted: bool = False


@lru_cache(maxsize=8)
def capability_statement(base: str, interactions: tuple[str, ...], built: Built) -> bytes:
    """Say what this server does with some search parameters."""
    on_types = sorted({name for name in interactions if name not in _SYSTEM})
    on_system = sorted({name for name in interactions if name in _SYSTEM})
    leading = _leading(built.parameters)
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
        "resource": [_audit_events() if type_ in _INTERNAL else _resource(type_, on_types, built, leading[type_]) for type_ in sorted(TYPE_IDS)],
        "interaction": [{"code": code} for code in on_system],
        "searchParam": [*_of_all(built), {"name": "_type", "type": "token"}],
        "compartment": [f"http://hl7.org/fhir/CompartmentDefinition/{code[0].lower() + code[1:]}" for code in COMPARTMENTS],
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
            "format": list(NAMES),
            "patchFormat": list(FORMATS),
            "rest": [rest],
        }
    )


def _leading(parameters: Snapshot) -> dict[str, list[str]]:
    """List, for each type, what may be said of it in `_revinclude`: the reference parameters that lead to it."""
    leading: dict[str, list[str]] = {type_: [] for type_ in TYPE_IDS}
    for source in sorted(set(TYPE_IDS) - _INTERNAL):
        for code, param in sorted(searchable_params(source, parameters).items()):
            if param.type == "reference":
                for target in leading if not param.targets or "Resource" in param.targets else param.targets:
                    leading[target].append(f"{source}:{code}")
    return leading


def _of_all(built: Built) -> list[dict[str, str]]:
    """List the parameters that every type has."""
    params = searchable_params("Basic", built.parameters)
    common = {code: param for code, param in params.items() if code.startswith("_") and (built.full_text or param.type != KIND)}
    return [*({"name": code, "type": _published(common[code])} for code in sorted(common)), *_OF_THE_WHOLE]


def _resource(type_: str, interactions: Sequence[str], built: Built, leading: Sequence[str]) -> dict[str, Any]:
    parameters = built.parameters
    params = {code: param for code, param in searchable_params(type_, parameters).items() if built.full_text or param.type != KIND}
    defined = {each.param.code: {"definition": each.url} for each in parameters.defined(type_)}
    listed = [{"name": code, **defined.get(code, {}), "type": _published(params[code])} for code in sorted(params)]
    references = sorted(f"{type_}:{code}" for code, param in params.items() if param.type == "reference")
    includes = ["*", f"{type_}:*", *references] if references else []
    return {
        "type": type_,
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple" if built.several_deleted else "single",
        **({"searchInclude": includes} if includes else {}),
        "searchRevInclude": ["*", *leading],
        "searchParam": [*listed, *_OF_THE_WHOLE],
        **({"operation": operations} if (operations := table.of_type(type_)) else {}),
    }


def _audit_events() -> dict[str, Any]:
    """The audit log, which is read alone."""
    listed = [{"name": name, "type": kind} for name, kind in sorted(audit_query.SEARCHED.items())]
    return {"type": "AuditEvent", "interaction": [{"code": "read"}, {"code": "search-type"}], "versioning": "no-version", "searchParam": listed}


def _published(param: SearchParam) -> str:
    return "string" if param.type == KIND else param.type


def _searching() -> str:
    """Say in words what a searchParam entry has no element for."""
    modifiers = "; ".join(
        f"{kind}: {', '.join(f':{name}' for name in sorted(names) if name)}" for kind, names in sorted(MODIFIERS.items()) if names - {""}
    )
    return (
        f"Modifiers of every parameter: :missing. Of kinds: {modifiers}; reference: :identifier and :[type]. Chained parameters and "
        f"_has, in each other too, over up to {MAX_DEPTH} references and {MAX_LINKED} resources at one end of each. "
        f"_sort by up to {MAX_SORT_KEYS} parameters of any kind, what has no value last; by tokens, references and uris where at most {MAX_VALUED} "
        f"resources match. _include and _revinclude of Source:parameter, Source:* and *, also :iterate, up to {MAX_INCLUDED} resources. "
        "An update brings a new id where the client may assign ids. "
        f"Prefixes of numbers, dates and quantities: {' '.join(sorted(PREFIXES))}. _list by ids of Lists; _security where the reader sees all of a type; _contained=false alone; no _query and no _score. Operators of {FILTER}: {_operators()}. "
        "Token :in, :not-in, :above and :below are answered for value sets that are stored here and for what the terminology of "
        "this server knows, and refused for the rest; :text is a string search; reference :below is for versions of canonical addresses."
    )


def _operators() -> str:
    return "; ".join(f"{kind}: {', '.join(sorted({*names, 'pr'}))}" for kind, names in sorted(OPERATORS.items()))


def _oauth_uris(base: str) -> dict[str, Any]:
    """Name the authorization endpoints for clients that read nothing else."""
    root = base.removesuffix("/fhir")
    return {
        "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
        "extension": [{"url": name, "valueUri": f"{root}/oauth/{path}"} for name, path in _ENDPOINTS],
    }
