"""The researcher's pages: the tables of the CDM with what is in them, as HTML for people and JSON for programs.

Spec: https://build.fhir.org/ig/HL7/fhir-omop-ig/conformance.html (f2o-023, f2o-024, f2o-100, f2o-122)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, g, jsonify, make_response, render_template, request, url_for

from chartloop.kernel import ids
from chartloop.kernel.db import Database
from chartloop.kernel.errors import ChartloopError, Forbidden, Invalid, NotFound
from omop_bridge.figures import Counting
from omop_bridge.guard import Guard, Visitor
from omop_bridge.origins import descendants, origins, patients
from omop_bridge.page_facts import Shown, figures_to_json, figures_to_page, link_of, page_to_json, row_to_json, shown
from omop_bridge.reading import concept_names, find_table, identity, read_page, read_row, withheld
from omop_bridge.schema import Table

STATUS = {"unauthenticated": 401, "forbidden": 403, "not-found": 404, "invalid": 400, "unavailable": 503}
TITLES = {400: "This cannot be read", 401: "Please enter", 403: "Not for you", 404: "Nothing here"}
_LONGEST_QUERY = 2_200  # a cursor may be as long as 2,000
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
CSP = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Research:
    """What the pages are made from; the databases are opened when somebody asks."""

    cdm: Callable[[], Database]
    lineage: Callable[[], Database]
    guard: Guard
    counting: Counting


def blueprint(research: Research) -> Blueprint:
    """Give /omop."""
    routes = Blueprint("omop", __name__, url_prefix="/omop", template_folder="templates", static_folder="static")
    _pages(routes, research)
    _ways(routes, research)
    _answers(routes, research.guard)
    return routes


def _pages(routes: Blueprint, research: Research) -> None:
    @routes.get("", strict_slashes=False)
    def home() -> Response:
        visitor = _let_in(research, "omop/tables")
        figures = research.counting.figures()
        research.guard.shown(visitor, ("omop/tables",), ())
        if _wants_json():
            return jsonify(figures_to_json(figures))
        return _page("home.html", visitor, **figures_to_page(figures))

    @routes.get("/tables/<name>")
    def table(name: str) -> Response:
        visitor = _let_in(research, f"omop/{name}", "page")
        return _table(research, visitor, find_table(name), request.args.get("page", ""))

    @routes.get("/tables/<name>/<id_>")
    def row(name: str, id_: str) -> Response:
        visitor = _let_in(research, f"omop/{name}/{id_}")
        if not (id_.isascii() and id_.isdecimal() and len(id_) <= 10):
            raise NotFound
        return _row(research, visitor, find_table(name), int(id_))


def _ways(routes: Blueprint, research: Research) -> None:
    @routes.get("/lineage")
    def lineage() -> Response:
        """Which rows a resource gave: the way of a row, followed forwards."""
        visitor = _let_in(research, "omop/lineage", "resource")
        reference = request.args.get("resource", "")
        type_, slash, id_ = reference.partition("/")
        if not (type_.isalpha() and slash and _ID.fullmatch(id_)):
            raise Invalid("Name a resource as Type/id.", expression="resource")
        g.omop_target = reference
        if not visitor.lineage:
            raise Forbidden("Your role has no right to the way from a resource to a row.")
        with research.lineage().read() as session:
            found, persons = descendants(session, type_, id_)
            concerned = patients(session, persons)
        research.guard.shown(visitor, (reference, *(f"omop/{each.table}/{each.row}" for each in found)), concerned, lineage=True)
        return jsonify(resource=reference, rows=[{"table": each.table, "id": each.row, "element": each.element} for each in found])


def _let_in(research: Research, target: str, *parameters: str) -> Visitor:
    """Let a reader in; then refuse parameters that nobody reads: a misspelt one would change the answer unseen."""
    number = str(request.environ.get("chartloop.request_id") or ids.request_id())
    visitor = research.guard.let_in(number, target[:200])
    g.omop_visitor, g.omop_target = visitor, target[:200]
    unknown = sorted(set(request.args) - set(parameters))
    if unknown or any(len(request.args.getlist(name)) > 1 for name in parameters):
        raise Invalid("This page takes no such parameter." if unknown else "A parameter may be given once.", code="not-supported")
    return visitor


def _table(research: Research, visitor: Visitor, table: Table, cursor: str) -> Response:
    with research.cdm().read(snapshot=True) as session:
        page = read_page(session, table, cursor, words=visitor.words)
        facts = shown(page.columns, page.rows, concept_names(session, page.columns, page.rows))
    hidden = withheld(table, words=visitor.words)
    research.guard.shown(visitor, (f"omop/{table.name}",), _patients(research, facts), query=_query())
    following = url_for("omop.table", name=table.name, page=page.next) if page.next else ""
    if _wants_json():
        return jsonify(page_to_json(table, facts, hidden, following))
    return _page("table.html", visitor, table=table, facts=facts, withheld=hidden, next=following, first=not cursor, identity=identity(table))


def _row(research: Research, visitor: Visitor, table: Table, row_id: int) -> Response:
    with research.cdm().read(snapshot=True) as session:
        values = read_row(session, table, row_id, words=visitor.words)
        rows = (tuple(values.values()),)
        facts = shown(tuple(values), rows, concept_names(session, tuple(values), rows))
    came_from = None
    if visitor.lineage:
        with research.lineage().read() as session:
            came_from = origins(session, table.name, row_id)
    hidden = withheld(table, words=visitor.words)
    targets = (f"omop/{table.name}/{row_id}", *(origin.reference for origin in came_from or ()))
    research.guard.shown(visitor, targets, _patients(research, facts), lineage=came_from is not None)
    if _wants_json():
        return jsonify(row_to_json(table, facts, hidden, came_from))
    return _page("row.html", visitor, table=table, facts=facts, withheld=hidden, row_id=row_id, origins=came_from)


def _patients(research: Research, facts: Shown) -> tuple[str, ...]:
    """Whom an answer concerns, for the accounting of disclosures."""
    if not facts.persons:
        return ()
    with research.lineage().read() as session:
        return patients(session, facts.persons)


def _query() -> str:
    return request.query_string.decode("ascii", "replace")[:_LONGEST_QUERY]


def _recorded(guard: Guard, error: ChartloopError) -> ChartloopError:
    """Record what somebody who was let in did not get; who was not is recorded already."""
    visitor: Visitor | None = g.get("omop_visitor")
    if visitor is None or error.category == "unavailable":
        return error
    try:
        guard.refused(visitor.subject, visitor.request, g.omop_target, error, query=_query())
    except ChartloopError as unavailable:
        return unavailable
    return error


def _wants_json() -> bool:
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def _page(template: str, visitor: Visitor, **facts: Any) -> Response:
    return make_response(render_template(f"omop/{template}", visitor=visitor, link_of=link_of, **facts))


def _answers(routes: Blueprint, guard: Guard) -> None:
    @routes.errorhandler(ChartloopError)
    def sorry(error: ChartloopError) -> Response:
        error = _recorded(guard, error)
        status = STATUS.get(error.category, 500)
        if _wants_json():
            answer = jsonify({"error": {"code": error.category, "text": str(error)}})
        else:
            answer = make_response(render_template("omop/message.html", title=TITLES.get(status, "Sorry"), text=str(error)))
        answer.status_code = status
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    @routes.after_request
    def close(answer: Response) -> Response:
        if request.endpoint == "omop.static":
            return answer
        answer.headers["Content-Security-Policy"] = CSP
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Vary"] = "Accept, Authorization, Cookie"
        return answer
