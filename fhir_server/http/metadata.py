"""HTTP answers that describe the API, open to everybody: CapabilityStatement, OperationDefinitions, OpenAPI.

Spec: https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from chartloop.kernel.errors import ChartloopError, Invalid, NotFound
from chartloop.kernel.http import Environ
from fhir_server.generated.openapi import Routed, openapi
from fhir_server.generated.operation_definition import all_definitions, definition_of
from fhir_server.http.answer import HttpAnswer, error_answer, json_answer
from fhir_server.http.public import public_answer

_PUBLIC: Final = ("Access-Control-Allow-Origin", "*")
"""SMART App Launch: metadata is for pages of every origin."""

NORMATIVE: Final = frozenset({
    "Binary", "Bundle", "CapabilityStatement", "CodeSystem", "Observation", "OperationDefinition", "OperationOutcome", "Parameters", "Patient",
    "StructureDefinition", "ValueSet",
})  # fmt: skip
"""Resource types that are normative in R4."""


class Metadata:
    """What describes this server; each document is made when it is first asked for."""

    def __init__(self, base: str, statement: Callable[[], bytes], routes: Sequence[Routed]) -> None:
        """Take what makes the statement of this moment, and what the others are made of."""
        self._base = base
        self._statement = statement
        self._routes = routes

    def capabilities(self, environ: Environ) -> HttpAnswer:
        """Answer GET metadata, with the mode that is asked for."""
        return _answered(environ, lambda: self._of_mode(str(environ.get("QUERY_STRING", ""))))

    def definition(self, environ: Environ, id_: str = "") -> HttpAnswer:
        """Answer GET metadata/OperationDefinition and one of them."""

        def found() -> bytes:
            one = definition_of(id_, self._base) if id_ else all_definitions(self._base)
            if one is None:
                raise NotFound
            return msgspec.json.encode(one)

        return _answered(environ, found)

    def openapi(self, _environ: Environ) -> HttpAnswer:
        """Answer GET openapi.json."""
        return HttpAnswer(200, (("Content-Type", "application/vnd.oai.openapi+json;version=3.1"), _PUBLIC), self._openapi)

    @cached_property
    def _openapi(self) -> bytes:
        return msgspec.json.encode(openapi(self._base, self._routes))

    def _of_mode(self, query: str) -> bytes:
        mode = dict(parse_qsl(query, keep_blank_values=True)).get("mode", "full")
        if mode == "full":
            return self._statement()
        if mode == "normative":
            return _normative(self._statement())
        if mode == "terminology":
            return _terminology(self._statement())
        raise Invalid("mode is full, normative or terminology.", code="not-supported", expression="http.mode")


def _answered(environ: Environ, make: Callable[[], bytes]) -> HttpAnswer:
    try:
        answer = json_answer(make(), 200, _PUBLIC)
    except ChartloopError as error:
        answer = error_answer(error)
    return public_answer(answer, environ)


def _normative(statement: bytes) -> bytes:
    said: dict[str, Any] = msgspec.json.decode(statement)
    for rest in said["rest"]:
        rest["resource"] = [each for each in rest["resource"] if each["type"] in NORMATIVE]
    return msgspec.json.encode(said)


def _terminology(statement: bytes) -> bytes:
    """Describe the terminology service: there is none yet that answers over HTTP."""
    said: dict[str, Any] = msgspec.json.decode(statement)
    return msgspec.json.encode({
        "resourceType": "TerminologyCapabilities", **{name: said[name] for name in ("status", "date", "kind", "software", "implementation")},
    })  # fmt: skip
