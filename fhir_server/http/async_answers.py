"""HTTP answers of the asynchronous pattern: 202 with the address of a job, its status, its result.

R4 describes the pattern with the manifest of a bulk export; for what is answered by one resource this follows R5: the result is
a batch-response Bundle with one entry, which holds the status and the resource that the request would have been answered with.
Spec: https://hl7.org/fhir/R4/async.html, http://hl7.org/fhir/async-bundle.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from chartloop.kernel.auth import digest_of
from chartloop.kernel.clock import iso
from chartloop.kernel.http import bearer_token
from fhir_server.background.jobs import DONE, PLACE, WAITING, AsyncJobs, Request, Result
from fhir_server.http.answer import HttpAnswer, http_date, json_answer
from fhir_server.http.calls import Call
from fhir_server.http.negotiation import FORM, is_search_form
from fhir_server.http.outcome import REASONS
from fhir_server.media_types import FHIR_JSON

_KEPT: Final = ("REQUEST_METHOD", "PATH_INFO")
_RENDERING: Final = frozenset({"_format", "_pretty"})
"""The result is JSON inside JSON."""


def wants_async(environ: Mapping[str, Any]) -> bool:
    """Whether Prefer asks for an answer later."""
    return "respond-async" in _preferred(environ)


def accepted(jobs: AsyncJobs, base: str, call: Call, kind: str) -> HttpAnswer:
    """Keep a request for later and answer 202."""
    environ = {name: str(call.environ[name]) for name in _KEPT if call.environ.get(name)}
    form = is_search_form(call.environ)
    environ["CONTENT_TYPE"] = FORM if form else FHIR_JSON  # a body of FHIR is JSON by now, however it came
    environ["QUERY_STRING"] = _unrendered(call.query)
    body = _unrendered(call.body.decode("latin-1")).encode() if form else call.body
    environ["HTTP_PREFER"] = ",".join(part for part in _preferred(call.environ) if part != "respond-async")
    environ["HTTP_ACCEPT"] = "application/fhir+json"
    id_ = jobs.accept(call.scope, Request(kind, environ, body, digest_of(bearer_token(call.environ)).hex()))
    return HttpAnswer(202, (("Content-Location", f"{base}/{PLACE}/{id_}"),), b"")


def job_answer(result: Result) -> HttpAnswer:
    """Answer a question for a job: 202 while it is at work, 200 with the result."""
    if result.state != DONE:
        progress = "waiting" if result.state == WAITING else "running"
        return HttpAnswer(202, (("X-Progress", progress), ("Retry-After", "1")), b"")
    body = msgspec.Raw(result.body) if result.body else None
    response: dict[str, Any] = {"status": f"{result.status} {REASONS[result.status]}", "lastModified": iso(result.finished)}
    entry: dict[str, Any] = {"response": response}
    if body is not None and result.status >= 400:
        response["outcome"] = body
    elif body is not None:
        entry["resource"] = body
    bundle = {"resourceType": "Bundle", "type": "batch-response", "entry": [entry]}
    return json_answer(msgspec.json.encode(bundle), 200, ("Expires", http_date(result.expires)))


def _unrendered(query: str) -> str:
    return "&".join(part for part in query.split("&") if part.partition("=")[0] not in _RENDERING)


def _preferred(environ: Mapping[str, Any]) -> list[str]:
    return [part.strip() for part in str(environ.get("HTTP_PREFER", "")).replace(";", ",").split(",") if part.strip()]
