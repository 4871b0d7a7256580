"""The parts that addresses of the OpenAPI document share: parameters, bodies, answers, schemas.

Spec: https://spec.openapis.org/oas/v3.1.0#components-object
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fhir_server.http.outcome import REASONS, STATUS
from fhir_server.operations.table import Operation
from fhir_server.search.params import SearchParam

_FHIR: Final = "application/fhir+json"
_TEXT: Final = {"type": "string"}
_VERSIONS: Final = {"type": "string", "pattern": '^((W/)?"[0-9]{1,9}"|[*])$'}
HEADERS: Final[Mapping[str, dict[str, Any]]] = {
    "If-Match": _VERSIONS,
    "If-None-Match": _VERSIONS,
    "If-Modified-Since": _TEXT,
    "If-None-Exist": _TEXT,
    "Prefer": {"type": "string", "enum": [
        "return=minimal", "return=representation", "return=OperationOutcome", "handling=strict", "handling=lenient", "respond-async",
    ]},
}  # fmt: skip
_QUERY: Final[Mapping[str, dict[str, Any]]] = {
    "_count": {"type": "integer", "minimum": 0},
    "_since": {"type": "string", "format": "date-time"},
    "_at": {"type": "string", "pattern": "^[12][0-9]{3}(-(0[1-9]|1[0-2])(-(0[1-9]|1[0-9]|2[0-8]))?)?$"},
    "_summary": {"type": "string", "enum": ["true", "text", "data", "false", "count"]},
    "_elements": _TEXT,
    "_sort": _TEXT,
    "_total": _TEXT,
    "_include": _TEXT,
    "_revinclude": _TEXT,
}
RESULT_PARAMETERS: Final = ("_count", "_sort", "_include", "_revinclude", "_total", "_summary", "_elements")
FAILURES: Final = tuple(str(status) for status in sorted({*STATUS.values()} - {500}))
"""A failure of the program itself is documented nowhere."""

_EMPTY: Final = frozenset({"202", "204", "304"})
_RESOURCE: Final = {"$ref": "#/components/schemas/Resource"}
_PARAMETER_TYPES: Final = {"integer": {"type": "integer"}, "instant": {"type": "string", "format": "date-time"}, "date": {"type": "string", "format": "date"}}
BODIES: Final[Mapping[str, dict[str, Any]]] = {
    "resource": {"required": True, "content": {_FHIR: {"schema": _RESOURCE}}},
    "bundle": {"required": True, "content": {_FHIR: {"schema": {"$ref": "#/components/schemas/Bundle"}}}},
    "patch": {"required": True, "content": {
        "application/json-patch+json": {"schema": {"$ref": "#/components/schemas/JsonPatch"}},
        _FHIR: {"schema": {"$ref": "#/components/schemas/Parameters"}},
    }},
    "form": {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}}},
    "parameters": {"content": {_FHIR: {"schema": {"$ref": "#/components/schemas/Parameters"}}}},
}  # fmt: skip


def parameter_ref(name: str) -> dict[str, str]:
    """Point at a parameter."""
    return {"$ref": f"#/components/parameters/{name}"}


def response_ref(status: str) -> dict[str, str]:
    """Point at an answer."""
    return {"$ref": f"#/components/responses/{status}"}


def search_parameter_name(param: SearchParam) -> str:
    """Name a search parameter: those of one code and kind are one."""
    return f"search-{param.code}-{param.type}"


def of_operation(operation: Operation, method: str) -> dict[str, Any]:
    """Describe one call of an operation, but for its address."""
    simple = [each for each in operation.takes if each.type in (*_PARAMETER_TYPES, "code")]
    return {
        "summary": f"${operation.name}: {operation.canonical}",
        "parameters": [
            parameter_ref("Prefer"),
            *({"name": each.name, "in": "query", "description": each.meaning, "schema": _PARAMETER_TYPES.get(each.type, _TEXT)} for each in simple),
        ],
        **({"requestBody": BODIES["parameters"]} if method == "POST" else {}),
        "responses": {status: response_ref(status) for status in ("200", "202", *FAILURES)},
    }


def components(types: Sequence[str], params: Mapping[str, Mapping[str, SearchParam]]) -> dict[str, Any]:
    """Collect what is pointed at."""
    searched = {search_parameter_name(each): each for of_type in params.values() for each in of_type.values()}
    return {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "schemas": _schemas(types),
        "parameters": {
            **{f"path-{name}": {"name": name, "in": "path", "required": True, "schema": schema} for name, schema in _in_path(types)},
            **{name: {"name": name, "in": "header", "schema": schema} for name, schema in HEADERS.items()},
            **{name: {"name": name, "in": "query", "schema": schema} for name, schema in _QUERY.items()},
            **{name: _search_parameter(each) for name, each in sorted(searched.items())},
        },
        "responses": dict(_responses()),
    }


def _in_path(types: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "type", {"type": "string", "enum": list(types)}
    yield "id", {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
    yield "wanted", {"type": "string", "enum": ["*", *types]}
    yield "job", {"type": "string", "pattern": "^[a-z2-7]{26}$"}
    yield "version", {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}


def _search_parameter(param: SearchParam) -> dict[str, Any]:
    return {"name": param.code, "in": "query", "description": f"Search parameter of kind {param.type}.", "schema": {"type": "array", "items": _TEXT}}


def _responses() -> Iterator[tuple[str, dict[str, Any]]]:
    outcome = {"content": {_FHIR: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}}
    for status in ("200", "201", "202", "204", "304", *FAILURES):
        said: dict[str, Any] = {"description": REASONS[int(status)]}
        if status in FAILURES:
            said |= outcome
        elif status not in _EMPTY:
            said["content"] = {_FHIR: {"schema": _RESOURCE}}
        yield status, said


def _schemas(types: Sequence[str]) -> dict[str, Any]:
    def of(type_: str, **more: object) -> dict[str, Any]:
        return {"type": "object", "required": ["resourceType", *more], "properties": {"resourceType": {"const": type_}, **more}}

    return {
        "Resource": {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"type": "string", "enum": list(types)}}},
        "Bundle": of("Bundle", type={"type": "string", "enum": ["batch", "transaction"]}),
        "Parameters": of("Parameters"),
        "OperationOutcome": of("OperationOutcome", issue={"type": "array", "minItems": 1}),
        "JsonPatch": {"type": "array", "items": {
            "type": "object", "required": ["op", "path"], "properties": {"op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]}, "path": _TEXT},
        }},
    }  # fmt: skip
