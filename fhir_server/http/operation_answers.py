"""HTTP answers of the operations: each reads its part of the request, calls the door and renders what comes back.

Spec: https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.clock import iso
from fhir_server.entry_request import EntryRequest
from fhir_server.http.answer import HttpAnswer, http_date, json_answer
from fhir_server.http.bundle import searchset
from fhir_server.http.calls import Call
from fhir_server.http.negotiation import if_match
from fhir_server.http.outcome import outcome
from fhir_server.interactions.entry_reads import Operate, Operated
from fhir_server.operations.parameters import as_query, given_meta, glass_reason, refuse_all, returned, trial
from fhir_server.operations.reindex import jobs_as_parameters
from fhir_server.preconditions import etag
from fhir_server.repository import Repository, Written
from fhir_server.validation.bundles import BundleEntry

Answering = Callable[[Repository, str, Call, str, str], HttpAnswer]
"""Door, base URL, request, type and id (empty where the address names none) to an answer."""


def everything(door: Repository, base: str, call: Call, type_: str, id_: str) -> HttpAnswer:
    """Answer GET or POST [type]/[id]/$everything."""
    query = "&".join(part for part in (call.query, as_query(call.body)) if part)
    page = door.everything(call.scope, type_, id_, query)
    return json_answer(searchset(page, base, "/".join(part for part in (type_, id_, "$everything") if part)))


def validate(door: Repository, _base: str, call: Call, type_: str, id_: str) -> HttpAnswer:
    """Answer POST [type]/[id]/$validate with an OperationOutcome, whatever it says."""
    mode, resource = trial(call.body, call.query, of_instance=bool(id_))
    return json_answer(outcome(door.validate(call.scope, type_, id_, mode, resource)))


def meta(door: Repository, _base: str, call: Call, type_: str, id_: str) -> HttpAnswer:
    """Answer GET or POST [type]/[id]/$meta."""
    refuse_all(call.body, call.query)
    return json_answer(returned("return", "Meta", door.meta(call.scope, type_, id_)))


def meta_of_version(door: Repository, call: Call, type_: str, id_: str, version: int) -> HttpAnswer:
    """Answer GET or POST Type/id/_history/version/$meta."""
    refuse_all(call.body, call.query)
    return json_answer(returned("return", "Meta", door.meta(call.scope, type_, id_, version)))


def meta_add(door: Repository, _base: str, call: Call, type_: str, id_: str) -> HttpAnswer:
    """Answer POST [type]/[id]/$meta-add."""
    return _changed(door.meta_add, call, type_, id_)


def meta_delete(door: Repository, _base: str, call: Call, type_: str, id_: str) -> HttpAnswer:
    """Answer POST [type]/[id]/$meta-delete."""
    return _changed(door.meta_delete, call, type_, id_)


def break_glass(door: Repository, _base: str, call: Call, _type: str, id_: str) -> HttpAnswer:
    """Answer POST Patient/[id]/$break-glass with when the chart closes again."""
    code, reason = glass_reason(call.body, call.query)
    return json_answer(returned("expires", "Instant", iso(door.break_glass(call.scope, id_, code, reason))))


def mend_glass(door: Repository, _base: str, call: Call, _type: str, id_: str) -> HttpAnswer:
    """Answer POST Patient/[id]/$mend-glass with whether there was anything to close."""
    refuse_all(call.body, call.query)
    return json_answer(returned("closed", "Boolean", door.mend_glass(call.scope, id_)))


def reindex(door: Repository, base: str, call: Call, type_: str, _id: str) -> HttpAnswer:
    """Answer POST [type]/$reindex with 202 and where to look, and GET with how far the jobs are."""
    refuse_all(call.body, call.query)
    if call.environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return json_answer(jobs_as_parameters(door.reindexing(call.scope, type_)))
    place = "/".join(part for part in (base, type_, "$reindex") if part)
    return json_answer(jobs_as_parameters(door.reindex(call.scope, type_)), 202, ("Content-Location", place))


def _changed(change: Callable[..., tuple[Written, dict[str, Any]]], call: Call, type_: str, id_: str) -> HttpAnswer:
    written, seen = change(call.scope, type_, id_, given_meta(call.body), if_match=if_match(call.environ))
    headers = ("ETag", etag(written.stored)), ("Last-Modified", http_date(written.stored.updated))
    return json_answer(returned("return", "Meta", seen), 200, *headers) if seen else HttpAnswer(200, headers, b"")


def entry_operations(door: Repository, base: str) -> Operate:
    """Carry out the operations of a Bundle's entries, each as a request of its own would."""

    def operate(scope: Scope, entry: BundleEntry, request: EntryRequest) -> Operated:
        name = request.operation.name if request.operation else ""
        call = Call(scope, {"REQUEST_METHOD": request.method, "HTTP_IF_MATCH": entry.if_match}, entry.resource, request.query)
        answer = ANSWERS[name](door, base, call, request.type, request.id)
        return Operated(answer.status, answer.body, dict(answer.headers).get("ETag", ""))

    return operate


ANSWERS: Final[Mapping[str, Answering]] = {
    "everything": everything,
    "validate": validate,
    "meta": meta,
    "meta-add": meta_add,
    "meta-delete": meta_delete,
    "break-glass": break_glass,
    "mend-glass": mend_glass,
    "reindex": reindex,
}
"""By the name of the operation in the table."""
