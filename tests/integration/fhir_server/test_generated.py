"""Descriptions that are generated from the tables which route: OperationDefinitions, OpenAPI, modes of metadata."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fhir_server.api import ROUTES
from fhir_server.generated.openapi import HANDLERS, Routed, openapi
from fhir_server.generated.operation_definition import all_definitions
from fhir_server.http.calls import Gate, Limits
from fhir_server.operations.table import OPERATIONS
from fhir_server.repository import Repository
from fhir_server.search.criteria import searchable_params
from fhir_server.search.params import for_type
from fhir_server.store import Store
from fhir_server.validation.resources import validate
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE
from tests.integration.fhir_server.test_http import Api, _authenticate


@pytest.fixture
def api(store: Store) -> Api:
    """The API on one database."""
    return Api(store)


@pytest.mark.conformance("FHIR R4: operations", "an OperationDefinition for each operation, generated from the table that routes it and valid by R4")
def test_every_operation_has_a_definition(api: Api) -> None:
    said = api("GET", "/fhir/metadata/OperationDefinition", role="")
    assert json.loads(said.data) == all_definitions(BASE)
    for operation in OPERATIONS:
        id_ = operation.definition.rpartition("/")[2]
        answer = api("GET", f"/fhir/metadata/OperationDefinition/{id_}", role="")
        definition = json.loads(answer.data)
        assert validate(answer.data, type_="OperationDefinition").id == id_
        assert (definition.get("base", operation.canonical), definition["code"]) == (operation.canonical, operation.name)
        assert definition["url"] == f"{BASE}/metadata/OperationDefinition/{id_}"
    assert api("GET", "/fhir/metadata/OperationDefinition/nothing", role="").status_code == 404
    affecting = {each.name for each in OPERATIONS if each.changes}
    assert affecting == {"break-glass", "mend-glass", "meta-add", "meta-delete", "reindex"}


@pytest.mark.conformance("FHIR R4: interactions", "GET metadata with mode full, normative or terminology; another mode is refused")
def test_metadata_has_modes(api: Api) -> None:
    full, normative, terminology = (json.loads(api("GET", f"/fhir/metadata?mode={mode}", role="").data) for mode in ("full", "normative", "terminology"))
    assert full == json.loads(api("GET", "/fhir/metadata", role="").data)
    types = {each["type"] for each in normative["rest"][0]["resource"]}
    assert types < {each["type"] for each in full["rest"][0]["resource"]}
    assert {"Patient", "Observation"} <= types
    assert "Condition" not in types
    assert validate(json.dumps(terminology).encode(), type_="TerminologyCapabilities").type == "TerminologyCapabilities"
    refused = api("GET", "/fhir/metadata?mode=all", role="")
    assert (refused.status_code, json.loads(refused.data)["issue"][0]["expression"]) == (400, ["http.mode"])


def _document() -> dict[str, Any]:
    return openapi(BASE, [Routed(route.rule, route.method, route.handler) for route in ROUTES])


@pytest.mark.conformance("FHIR R4: interactions", "OpenAPI 3.1 of every route, operation and search parameter, generated from the tables that route")
def test_openapi_lists_what_is_routed(store: Store) -> None:
    document = _document()
    assert {route.handler for route in ROUTES} == set(HANDLERS)
    for operation in OPERATIONS:
        for rule in operation.rules():
            path = re.sub(r"<(\w+?)_?>", r"{\1}", rule)
            assert set(document["paths"][path]) == {method.lower() for method in operation.methods}, path
    for type_ in ("Patient", "Observation"):
        refs = {each["$ref"].rpartition("/")[2] for each in document["paths"][f"/{type_}"]["get"]["parameters"]}
        assert {f"search-{code}-{param.type}" for code, param in searchable_params(type_, for_type).items()} <= refs
    assert "post" not in document["paths"]["/AuditEvent"]


def test_every_pointer_of_the_openapi_document_leads_somewhere() -> None:
    document = _document()
    for pointer in set(re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(document))):
        assert pointer[1] in document["components"][pointer[0]], pointer


def test_openapi_is_served_to_everybody_and_made_once(store: Store) -> None:
    app = fhir_wsgi(Gate(Repository(store), _authenticate, BASE, Limits()))
    seen: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/fhir/openapi.json", "QUERY_STRING": "", "SERVER_NAME": "x", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
    body = b"".join(app(dict(environ), lambda status, headers, *_: seen.append((status, dict(headers)))))
    assert seen[0][0] == "200 OK"
    assert seen[0][1]["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert json.loads(body)["openapi"] == "3.1.0"
    assert b"".join(app(dict(environ), lambda *_: None)) == body
