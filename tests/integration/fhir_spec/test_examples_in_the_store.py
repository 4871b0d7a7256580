"""The official examples go in over HTTP, come back as they were, and are found again by each of their own search values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client

from fhir_server.http.calls import Gate, Limits
from fhir_server.indexing.expressions import branches
from fhir_server.repository import Repository
from fhir_server.search.params import for_type
from fhir_server.spec.definitions import r4
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE, make_store, scope  # noqa: F401  (make_store is a fixture)
from tests.integration.fhir_server.conftest import access as access  # noqa: PLC0414  (a fixture)
from tests.integration.fhir_spec.official_examples import REFUSED, official_examples
from tests.integration.fhir_spec.search_values import asked, combined

fhirpathpy = pytest.importorskip("fhirpathpy", reason="fhirpathpy is not installed")
models = pytest.importorskip("fhirpathpy.models").models
pytestmark = [pytest.mark.corpus, pytest.mark.long]

NOT_WRITTEN = {"AuditEvent": 403}
"""Types that nobody writes through the API."""

NOT_FOUND = {"activity-date": "CarePlan.activity.detail.scheduledString: a text is no date, even where it looks like one"}
"""Parameters whose expression reaches a value of a type that their kind does not search."""


@pytest.fixture
def api(database, make_store):  # noqa: F811
    """Speak HTTP as the operator."""
    client = Client(fhir_wsgi(Gate(Repository(make_store(database)), lambda token: scope(token).subject, BASE, Limits())))

    def call(method, path, body=None):
        headers = {"Authorization": "Bearer operator", "Content-Type": "application/fhir+json"}
        answer = client.open(path, method=method, data=body, headers=headers)
        if "/Consent/" in path and method == "PUT":  # one example forbids everything: the chart that it speaks of stays open to the operator here
            database.write(lambda tx: tx.run("DELETE FROM access_grant"))
        return answer

    return call


def exact(body: bytes) -> Any:
    """Content with every number as it is written."""
    return json.loads(body, parse_float=lambda text: ("number", text), parse_int=lambda text: ("number", text))


def without_version(resource: Any) -> Any:
    """Leave out what the server says about the version."""
    meta = {key: value for key, value in resource.get("meta", {}).items() if key not in ("versionId", "lastUpdated")}
    return {**{key: value for key, value in resource.items() if key != "meta"}, **({"meta": meta} if meta else {})}


def expression_of(type_: str, code: str) -> str:
    """What a parameter reads of a type, as the specification publishes it."""
    fact = next(fact for fact in r4().search_parameters if fact.code == code and type_ in fact.bases)
    return " | ".join(part for part in branches(fact.expression) if part.lstrip("(").startswith(f"{type_}.") or part == type_)


def values_of(resource: dict[str, Any], compiled: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(code, kind, value) of every parameter that another FHIRPath engine can evaluate."""
    type_ = resource["resourceType"]
    for code, param in for_type(type_).items():
        if code.startswith("_") or "exists" in (expression := expression_of(type_, code)) or not expression:
            continue
        try:
            found = compiled.setdefault(expression, fhirpathpy.compile(expression, models["r4"]))(resource)
        except Exception:
            continue
        for value in found:
            if value is not None:
                yield code, param.type, value


def components_of(type_: str, code: str) -> list[tuple[str, str]]:
    """(kind, expression) of the components of a composite; R4 publishes those of one of them crosswise."""
    fact = next(fact for fact in r4().search_parameters if fact.code == code and type_ in fact.bases)
    expressions = [component.expression for component in fact.components]
    crosswise = code == "relationship"
    return list(zip((component.type for component in fact.components), reversed(expressions) if crosswise else expressions, strict=True))


def asked_of(resource: dict[str, Any], code: str, kind: str, value: Any) -> Iterator[tuple[str, str]]:
    """(modifier, text) of what must find a resource by one value."""
    if kind == "composite":
        yield from combined(components_of(resource["resourceType"], code), value, resource)
    elif code in ("composition", "message") and resource["resourceType"] == "Bundle":
        if {"document": "Composition", "message": "MessageHeader"}.get(resource["type"]) == {"composition": "Composition", "message": "MessageHeader"}[code]:
            yield from (("", each) for each in (value["id"], f"{value['resourceType']}/{value['id']}") if "id" in value)
    else:
        yield from asked(kind, value)


def found_ids(api, path: str) -> set[str]:
    """Ids on all pages of a search."""
    ids: set[str] = set()
    while path:
        answer = api("GET", path)
        assert answer.status_code == 200, (path, answer.data)
        bundle = json.loads(answer.data)
        ids.update(entry["resource"]["id"] for entry in bundle.get("entry", ()))
        path = next((link["url"].removeprefix(BASE.removesuffix("/fhir")) for link in bundle["link"] if link["relation"] == "next"), "")
    return ids


@pytest.mark.conformance("FHIR R4: store", "every official example comes back with the content it was sent with, decimals and extensions of primitives too")
@pytest.mark.conformance("FHIR R4: search", "every official example is found by each of its own search values")
def test_every_example_comes_back_and_is_found_by_its_own_values(corpus, api):
    stored, compiled, searches = [], {}, {}
    for name, body in official_examples(corpus):
        resource = json.loads(body)
        address = f"/fhir/{resource['resourceType']}/{resource['id']}"
        answer = api("PUT", address, body)
        expected = 422 if name in REFUSED else NOT_WRITTEN.get(resource["resourceType"], 201)
        assert answer.status_code == expected, (name, answer.data[:500])
        if expected == 201:
            stored.append(address)
            assert without_version(exact(api("GET", address).data)) == without_version(exact(body)), name
            parsed = json.loads(body, parse_float=Decimal)
            for code, kind, value in values_of(parsed, compiled):
                for modifier, text in asked_of(parsed, code, kind, value):
                    searches.setdefault(f"/fhir/{resource['resourceType']}?{code}{modifier}={quote(text, safe='')}&_count=1000", set()).add(resource["id"])
    missing = {path: absent for path, ids in searches.items() if (absent := ids - found_ids(api, path))}
    assert {path.partition("?")[2].partition("=")[0] for path in missing} == set(NOT_FOUND)
    assert len(stored) == 430
    assert len(searches) > 3600
