"""OpenAPI 3.1, generated from the routes, the operations and the search parameters.

What belongs to one type (create, search, conditional writes) has an address of its own for each, with its search parameters;
what does not differ between types has one address, whose type is an enumeration.
Spec: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from fhir_server.generated.openapi_parts import (
    BODIES,
    FAILURES,
    HEADERS,
    RESULT_PARAMETERS,
    components,
    of_operation,
    parameter_ref,
    response_ref,
    search_parameter_name,
)
from fhir_server.operations.table import OPERATIONS
from fhir_server.search.criteria import searchable_params
from fhir_server.search.params import for_type
from fhir_server.type_ids import TYPE_IDS

INTERNAL: Final = frozenset({"AuditEvent"})
"""Not written through the API."""
_PART: Final = re.compile(r"<(\w+?)_?>")


class Described(NamedTuple):
    """What the specification says of one handler beyond its address."""

    summary: str
    answers: tuple[str, ...]
    takes: tuple[str, ...] = ()
    body: str = ""
    criteria: bool = False
    """Whether search parameters are part of its address."""


_WRITE: Final = ("If-Match", "Prefer")
_SUBSET: Final = ("_summary", "_elements")
_READ: Final = ("If-None-Match", "If-Modified-Since", *_SUBSET)
HANDLERS: Final = {
    "read": Described("Read the current version of a resource.", ("200", "304"), _READ),
    "vread": Described("Read one version of a resource.", ("200", "304"), _READ),
    "update": Described("Store the next version of a resource.", ("200", "201"), (*_WRITE, "If-None-Match"), "resource"),
    "conditional_update": Described("Update the one match, or create.", ("200", "201"), (*_WRITE, "If-None-Match"), "resource", criteria=True),
    "patch": Described("Patch a resource.", ("200",), _WRITE, "patch"),
    "conditional_patch": Described("Patch the one match.", ("200",), _WRITE, "patch", criteria=True),
    "delete": Described("Delete a resource; its history stays.", ("200", "204"), _WRITE),
    "conditional_delete": Described("Delete what matches.", ("200", "204"), _WRITE, criteria=True),
    "history": Described("List versions, newest first.", ("200",), ("_count", "_since", "_at")),
    "create": Described("Store a new resource.", ("200", "201"), ("If-None-Exist", "Prefer"), "resource"),
    "search": Described("Search.", ("200", "202"), ("Prefer",), criteria=True),
    "search_system": Described("Search on several types.", ("200",), ("Prefer",)),
    "search_compartment": Described("Search in a compartment.", ("200",), ("Prefer",)),
    "bundle": Described("Process a batch or a transaction.", ("200", "202"), ("Prefer",), "bundle"),
    "job": Described("Ask for a request that is answered later.", ("200", "202")),
    "cancel_job": Described("Cancel such a request and drop its result.", ("202",)),
}
"""By the name of the handler in the table of routes."""


class Routed(NamedTuple):
    """An address, a method and the handler behind them."""

    rule: str
    method: str
    handler: str


def openapi(base: str, routes: Sequence[Routed]) -> dict[str, Any]:
    """Describe the whole API."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for path, type_ in _addresses(route):
            paths.setdefault(path or "/", {})[route.method.lower()] = _call(route, path, type_)
    for operation in OPERATIONS:
        for rule in operation.rules():
            path = _template(rule)
            for method in operation.methods:
                paths.setdefault(path, {})[method.lower()] = {**of_operation(operation, method), "parameters": [
                    *_in_path(path), *of_operation(operation, method)["parameters"],
                ]}  # fmt: skip
    types = sorted(TYPE_IDS)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chartloop FHIR R4 API", "version": "4.0.1", "description": "Generated from the routes, the operations and the search parameters."},
        "servers": [{"url": base}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": components(types, {type_: searchable_params(type_, for_type) for type_ in types}),
    }


def _addresses(route: Routed) -> Iterator[tuple[str, str]]:
    """Path templates of a route, each with the type that it belongs to, if it is one."""
    path = _template(route.rule)
    if route.rule in ("/<type_>", "/<type_>/_search"):
        for type_ in sorted(TYPE_IDS):
            if type_ not in INTERNAL or route.handler == "search":
                yield path.replace("{type}", type_), type_
    elif route.rule != "/":  # the base is there twice, with and without a slash
        yield path, ""


def _template(rule: str) -> str:
    return _PART.sub(r"{\1}", rule)


def _in_path(path: str) -> list[dict[str, str]]:
    return [parameter_ref(f"path-{name}") for name in re.findall(r"\{(\w+)\}", path)]


def _call(route: Routed, path: str, type_: str) -> dict[str, Any]:
    said = HANDLERS[route.handler]
    parameters = [*_in_path(path), *(parameter_ref(name) for name in said.takes)]
    by_form = route.rule.endswith("/_search")
    if said.criteria:
        listed = [search_parameter_name(param) for _, param in sorted(searchable_params(type_, for_type).items())]
        parameters += map(parameter_ref, listed)
    if route.handler.startswith("search") and not by_form:
        parameters += map(parameter_ref, RESULT_PARAMETERS)
    body = "form" if by_form else said.body
    return {
        "summary": said.summary,
        "operationId": "-".join(part for part in (route.handler, type_, "post" if by_form else "", *_levels(route, type_)) if part),
        "parameters": parameters,
        **({"requestBody": BODIES[body]} if body else {}),
        "responses": {status: response_ref(status) for status in (*said.answers, *FAILURES)},
    }


def _levels(route: Routed, type_: str) -> list[str]:
    """Tell apart what one handler answers on several levels."""
    return [] if type_ or route.handler not in ("history", "search_compartment") else [str(route.rule.count("<"))]


__all__ = ["HANDLERS", "HEADERS", "Routed", "openapi"]
