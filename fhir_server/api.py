"""Routes of the FHIR RESTful API; what each does is in its interaction.

Spec: https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import msgspec
from flask import Blueprint, Response, request

from chartloop.kernel.errors import ChartloopError, Invalid, MethodNotAllowed, NotFound, TooLarge, UnsupportedMedia
from chartloop.kernel.http import Environ
from fhir_server import audit_event
from fhir_server.background.jobs import BATCH, PLACE, READ, TRANSACTION, AsyncJobs
from fhir_server.generated.openapi import Routed
from fhir_server.http.allowing import address, allow_header, allowed
from fhir_server.http.answer import HttpAnswer, deleted_answer, error_answer, json_answer, stored_answer, written_answer
from fhir_server.http.async_answers import accepted, job_answer, wants_async
from fhir_server.http.bundle import history_bundle, response_bundle, searchset
from fhir_server.http.calls import Call, Gate, Work
from fhir_server.http.metadata import Metadata
from fhir_server.http.negotiation import FORM, bundle_preferences, create_only, if_match, if_none_exist, patch_type, preferences
from fhir_server.http.nothing import tell_nothing
from fhir_server.http.operation_answers import ANSWERS, entry_operations, meta_of_version
from fhir_server.interactions.entry_reads import Reading
from fhir_server.interactions.search_compartment import EVERY, is_place
from fhir_server.operations.table import OPERATIONS, Operation
from fhir_server.store import Page, Written
from fhir_server.type_ids import TYPE_IDS

PREFIX: Final = "/fhir"
"""Where the API is."""


class Route(NamedTuple):
    """An address, a method and the interaction behind them; jobs are none."""

    rule: str
    method: str
    interaction: str
    handler: str


MAX_FORM: Final = 1_000_000
"""Largest form of a search: some thousand ids."""

ROUTES: Final = (
    Route("/<type_>/<id_>", "GET", "read", "read"),
    Route("/<type_>/<id_>/_history/<version>", "GET", "vread", "vread"),
    Route("/<type_>/<id_>", "PUT", "update", "update"),
    Route("/<type_>", "PUT", "update", "conditional_update"),
    Route("/<type_>/<id_>", "PATCH", "patch", "patch"),
    Route("/<type_>", "PATCH", "patch", "conditional_patch"),
    Route("/<type_>/<id_>", "DELETE", "delete", "delete"),
    Route("/<type_>", "DELETE", "delete", "conditional_delete"),
    Route("/<type_>/<id_>/_history", "GET", "history-instance", "history"),
    Route("/<type_>/_history", "GET", "history-type", "history"),
    Route("/_history", "GET", "history-system", "history"),
    Route("/<type_>", "POST", "create", "create"),
    Route("/<type_>", "GET", "search-type", "search"),
    Route("/<type_>/_search", "POST", "search-type", "search"),
    Route("/<type_>/<id_>/<wanted>", "GET", "search-type", "search_compartment"),
    Route("/<type_>/<id_>/_search", "POST", "search-type", "search_compartment"),
    Route("/<type_>/<id_>/<wanted>/_search", "POST", "search-type", "search_compartment"),
    Route("", "GET", "search-system", "search_system"),
    Route("/_search", "POST", "search-system", "search_system"),
    Route("/_async/<job>", "GET", "", "job"),
    Route("/_async/<job>", "DELETE", "", "cancel_job"),
    Route("", "POST", "transaction", "bundle"),
    Route("/", "POST", "batch", "bundle"),
)
OPEN: Final = ("/metadata", "/metadata/OperationDefinition", "/metadata/OperationDefinition/<id_>", "/openapi.json")
"""What everybody may read."""
_EVERY_METHOD: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
ADDRESSES: Final = (
    *(address(route.rule, route.method, conditional=route.handler.startswith("conditional_")) for route in ROUTES),
    *(address(rule, method) for operation in OPERATIONS for rule in operation.rules() for method in operation.methods),
    *(address(rule, "GET") for rule in OPEN),
)


def blueprint(gate: Gate) -> Blueprint:
    """Make the API."""
    routes = Blueprint("fhir", __name__)
    api = Api(gate)
    for number, route in enumerate(ROUTES):
        handler: Callable[..., HttpAnswer] = getattr(api, route.handler)
        routes.add_url_rule(
            route.rule, f"{route.handler}-{number}", _view(handler), methods=[route.method], strict_slashes=False, provide_automatic_options=False
        )
    for number, operation in enumerate(OPERATIONS):
        for place, rule in enumerate(operation.rules()):
            view = _view(partial(api.operation, operation))
            name, methods = f"operation-{number}-{place}", list(operation.methods)
            routes.add_url_rule(rule, name, view, methods=methods, strict_slashes=False, provide_automatic_options=False)
    interactions = tuple(route.interaction for route in ROUTES if route.interaction)
    statement = partial(gate.repository.capability_statement, gate.base, interactions)
    metadata = Metadata(gate.base, statement, [Routed(route.rule, route.method, route.handler) for route in ROUTES])
    described: tuple[Callable[..., HttpAnswer], ...] = (metadata.capabilities, metadata.definition, metadata.definition, metadata.openapi)
    for rule, describe in zip(OPEN, described, strict=True):
        routes.add_url_rule(rule, f"open-{rule}".replace(".", "-"), _view(describe), methods=["GET"], provide_automatic_options=False)
    for name, rule in (("other", "/<path:path>"), ("root", "")):
        routes.add_url_rule(rule, name, _view(api.other), methods=_EVERY_METHOD, strict_slashes=False, provide_automatic_options=False)
        routes.add_url_rule(rule, f"{name}-options", _view(api.options), methods=["OPTIONS"], strict_slashes=False, provide_automatic_options=False)
    return routes


def _view(handler: Callable[..., HttpAnswer]) -> Callable[..., Response]:
    def view(**parts: str) -> Response:
        return _response(handler(request.environ, **parts))

    return view


def _response(answer: HttpAnswer) -> Response:
    response = Response(answer.body, answer.status, list(answer.headers))
    if not answer.body:
        response.headers.pop("Content-Type", None)
    return response


class Api:
    """Handlers: each reads its part of the request, calls the door and renders what comes back."""

    def __init__(self, gate: Gate) -> None:
        """Take the gate that requests come through."""
        self._gate = gate
        self._door = gate.repository

    def read(self, environ: Environ, type_: str, id_: str) -> HttpAnswer:
        """Answer GET Type/id."""
        events = self._gate.audit_events if type_ == audit_event.TYPE else None

        def work(call: Call) -> HttpAnswer:
            stored = events.read(call.scope, id_) if events else self._door.read(call.scope, type_, id_, call.query)
            return stored_answer(stored, call.environ)

        return self._do(environ, "read", type_, id_, work)

    def vread(self, environ: Environ, type_: str, id_: str, version: str) -> HttpAnswer:
        """Answer GET Type/id/_history/version."""

        def work(call: Call) -> HttpAnswer:
            return stored_answer(self._door.vread(call.scope, type_, id_, _number(version), call.query), call.environ)

        return self._do(environ, "vread", type_, id_, work)

    def create(self, environ: Environ, type_: str) -> HttpAnswer:
        """Answer POST Type."""

        def work(call: Call) -> HttpAnswer:
            written = self._door.create(call.scope, call.body, type_=type_, if_none_exist=if_none_exist(call.environ, call.query))
            return self._written(call, written)

        return self._do(environ, "create", type_, "", work)

    def update(self, environ: Environ, type_: str, id_: str) -> HttpAnswer:
        """Answer PUT Type/id."""

        def work(call: Call) -> HttpAnswer:
            before = if_match(call.environ)
            written = self._door.update(call.scope, type_, id_, call.body, if_match=before, create_only=create_only(call.environ))
            return self._written(call, written)

        return self._do(environ, "update", type_, id_, work)

    def conditional_update(self, environ: Environ, type_: str) -> HttpAnswer:
        """Answer PUT Type?criteria."""

        def work(call: Call) -> HttpAnswer:
            before, only = if_match(call.environ), create_only(call.environ)
            written = self._door.conditional_update(call.scope, type_, call.query, call.body, if_match=before, create_only=only)
            return self._written(call, written)

        return self._conditional(environ, "update", type_, work)

    def patch(self, environ: Environ, type_: str, id_: str) -> HttpAnswer:
        """Answer PATCH Type/id."""

        def work(call: Call) -> HttpAnswer:
            kind, before = patch_type(call.environ), if_match(call.environ)
            written = self._door.patch(call.scope, type_, id_, call.body, media_type=kind, if_match=before)
            return self._written(call, written)

        return self._do(environ, "patch", type_, id_, work)

    def conditional_patch(self, environ: Environ, type_: str) -> HttpAnswer:
        """Answer PATCH Type?criteria."""

        def work(call: Call) -> HttpAnswer:
            kind, before = patch_type(call.environ), if_match(call.environ)
            written = self._door.conditional_patch(call.scope, type_, call.query, call.body, media_type=kind, if_match=before)
            return self._written(call, written)

        return self._conditional(environ, "patch", type_, work)

    def delete(self, environ: Environ, type_: str, id_: str) -> HttpAnswer:
        """Answer DELETE Type/id."""

        def work(call: Call) -> HttpAnswer:
            return self._deleted(environ, self._door.delete(call.scope, type_, id_, if_match=if_match(call.environ)))

        return self._do(environ, "delete", type_, id_, work)

    def conditional_delete(self, environ: Environ, type_: str) -> HttpAnswer:
        """Answer DELETE Type?criteria."""

        def work(call: Call) -> HttpAnswer:
            return self._deleted(environ, self._door.conditional_delete(call.scope, type_, call.query, if_match=if_match(call.environ)))

        return self._conditional(environ, "delete", type_, work)

    def history(self, environ: Environ, type_: str | None = None, id_: str | None = None) -> HttpAnswer:
        """Answer GET [Type[/id]]/_history."""
        address = "/".join([*(part for part in (type_, id_) if part), "_history"])

        def work(call: Call) -> HttpAnswer:
            page = self._door.history(call.scope, type_, id_, call.query)
            tell_nothing(environ, [page])
            return json_answer(history_bundle(page, self._gate.base, address))

        return self._do(environ, "history", type_, id_ or "", work)

    def search(self, environ: Environ, type_: str) -> HttpAnswer:
        """Answer GET Type?… and POST Type/_search; parameters of address and form count alike."""
        events = self._gate.audit_events if type_ == audit_event.TYPE else None

        def work(call: Call) -> HttpAnswer:
            query = _asked(call)
            if events is not None:
                return self._page(environ, events.search(call.scope, query), type_)
            page = self._door.search(call.scope, type_, query, lenient=preferences(call.environ).lenient)
            return self._page(environ, page, type_)

        return self._do(environ, "search", type_, "", lambda call: self._perhaps_later(call, work, READ))

    def search_system(self, environ: Environ) -> HttpAnswer:
        """Answer GET ?… and POST _search."""

        def work(call: Call) -> HttpAnswer:
            page = self._door.search_system(call.scope, _asked(call), lenient=preferences(call.environ).lenient)
            return self._page(environ, page, "")

        return self._do(environ, "search", None, "", work)

    def search_compartment(self, environ: Environ, type_: str, id_: str, wanted: str = EVERY) -> HttpAnswer:
        """Answer GET Type/id/Other?… and POST Type/id/Other/_search; `*`, or no other in a form, is every type."""

        def work(call: Call) -> HttpAnswer:
            place = (type_, id_, wanted)
            page = self._door.search_compartment(call.scope, place, _asked(call), lenient=preferences(call.environ).lenient)
            return self._page(environ, page, "/".join(place))

        if not is_place(type_, wanted):
            return self.other(environ, f"{type_}/{id_}/{wanted}")
        return self._do(environ, "search", type_, id_, work)

    def bundle(self, environ: Environ) -> HttpAnswer:
        """Answer POST of a batch or transaction."""

        def work(call: Call) -> HttpAnswer:
            type_ = _bundle_type(call.body)
            run = self._door.batch if type_ == "batch" else self._door.transaction
            wanted = bundle_preferences(call.environ)
            reading = Reading(wanted.lenient, entry_operations(self._door, self._gate.base))
            also = {"also": call.environ.get("chartloop.also")} if type_ != "batch" else {}
            answers = run(call.scope, call.body, reading=reading, **also)
            tell_nothing(environ, answers)
            return json_answer(response_bundle(type_, answers, self._gate.base, returns=wanted.returns))

        def later(call: Call) -> HttpAnswer:
            return self._perhaps_later(call, work, BATCH if _bundle_type(call.body) == "batch" else TRANSACTION)

        return self._do(environ, "transaction", None, "", later, bulk=True)

    def job(self, environ: Environ, job: str) -> HttpAnswer:
        """Answer GET _async/job: where a request stands that is answered later, or its result."""
        return self._of_job(environ, job, lambda jobs, call: job_answer(jobs.result(call.scope, job)))

    def cancel_job(self, environ: Environ, job: str) -> HttpAnswer:
        """Answer DELETE _async/job."""

        def work(jobs: AsyncJobs, call: Call) -> HttpAnswer:
            jobs.cancel(call.scope, job)
            return HttpAnswer(202, (), b"")

        return self._of_job(environ, job, work)

    def operation(self, operation: Operation, environ: Environ, type_: str = "", id_: str = "", version: str = "") -> HttpAnswer:
        """Answer an operation; the address of one that few types have names no type_."""
        type_ = type_ or (operation.types[0] if operation.types else "")
        answering = ANSWERS[operation.name]

        def work(call: Call) -> HttpAnswer:
            if version:
                return meta_of_version(self._door, call, type_, id_, _number(version))
            return answering(self._door, self._gate.base, call, type_, id_)

        def later(call: Call) -> HttpAnswer:
            return work(call) if operation.changes else self._perhaps_later(call, work, READ)

        return self._do(environ, "operation", type_ or None, id_, later)

    def options(self, environ: Environ, path: str = "") -> HttpAnswer:
        """Answer OPTIONS: the methods of an address, whoever asks; whether anything is there it does not say."""
        methods = allowed(ADDRESSES, path, query=True)
        return HttpAnswer(204, allow_header(methods), b"") if len(methods) > 1 else self.other(environ, path)

    def other(self, environ: Environ, path: str = "") -> HttpAnswer:
        """Answer what has no interaction."""

        def work(call: Call) -> HttpAnswer:
            known = path.partition("/")[0] in TYPE_IDS or not path
            error: ChartloopError = MethodNotAllowed() if known and "$" not in path else NotFound()
            self._door.refused(call.scope, path[:200], error)
            return error_answer(error)

        return _allowing(self._gate.answer(environ, "read", path[:200], work), environ)

    def _perhaps_later(self, call: Call, work: Work, kind: str) -> HttpAnswer:
        """Answer now, or later if the client prefers that."""
        jobs = self._gate.jobs
        return accepted(jobs, self._gate.base, call, kind) if jobs is not None and wants_async(call.environ) else work(call)

    def _of_job(self, environ: Environ, job: str, work: Callable[[AsyncJobs, Call], HttpAnswer]) -> HttpAnswer:
        jobs = self._gate.jobs
        if jobs is None:
            return self.other(environ, f"{PLACE}/{job}")
        return self._gate.answer(environ, "operation", f"{PLACE}/{job}"[:200], lambda call: work(jobs, call))

    def _page(self, environ: Environ, page: Page, address: str) -> HttpAnswer:
        tell_nothing(environ, [page])
        return json_answer(searchset(page, self._gate.base, address))

    def _deleted(self, environ: Environ, written: Written) -> HttpAnswer:
        tell_nothing(environ, [written])
        return deleted_answer(written, preferences(environ))

    def _written(self, call: Call, written: Written) -> HttpAnswer:
        return written_answer(written, self._gate.base, preferences(call.environ))

    def _conditional(self, environ: Environ, action: str, type_: str, work: Work) -> HttpAnswer:
        """Let a write on a type in only with a condition."""
        return self._do(environ, action, type_, "", work) if environ.get("QUERY_STRING") else self.other(environ, type_)

    def _do(self, environ: Environ, action: str, type_: str | None, id_: str, work: Work, *, bulk: bool = False) -> HttpAnswer:
        target = "/".join(part for part in (type_, id_) if part)[:200]
        if type_ is not None and type_ not in TYPE_IDS:
            return self.other(environ, target)
        return _allowing(self._gate.answer(environ, action, target, work, bulk=bulk), environ)


def _allowing(answer: HttpAnswer, environ: Environ) -> HttpAnswer:
    """Say in a 405 what the address takes."""
    if answer.status != 405:
        return answer
    path = str(environ["PATH_INFO"]).removeprefix(PREFIX)
    methods = allowed(ADDRESSES, path, query=bool(environ.get("QUERY_STRING")), refused=str(environ["REQUEST_METHOD"]))
    return answer._replace(headers=(*answer.headers, *allow_header(methods)))


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() and len(version) < len("2147483648") else 0


class _Head(msgspec.Struct):
    type: str = ""


def _bundle_type(body: bytes) -> str:
    """Look which kind of Bundle this is; the interaction judges it."""
    try:
        return msgspec.json.decode(body, type=_Head).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "transaction"


def _asked(call: Call) -> str:
    """Join what the address and the form of a search say."""
    return "&".join(part for part in (call.query, _form(call)) if part)


def _form(call: Call) -> str:
    if not call.body:
        return ""
    if not str(call.environ.get("CONTENT_TYPE", "")).lower().startswith(FORM):
        raise UnsupportedMedia("The body of a search is a form.")
    if len(call.body) > MAX_FORM:
        raise TooLarge(f"The form of a search has at most {MAX_FORM} bytes.")
    try:
        return call.body.decode("ascii")
    except UnicodeDecodeError:
        raise Invalid("The form is not percent-encoded.") from None


