"""The operators' page at /operations: it shows, and its forms decide.

The page asks to be fetched again only where somebody wants that (?refresh=15): a page that does so by itself would keep a session alive
that nobody uses any more.
Spec: https://www.w3.org/WAI/WCAG22/Understanding/timing-adjustable
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import ChartloopError, NotFound
from fhir_server.http.outcome import STATUS
from smart_apps.ehr.ehr import request_number
from smart_apps.operations.board import Board
from smart_apps.operations.desk import Desk

CSP: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
REFRESH_S: Final = 15
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TITLES: Final = {401: "Please enter", 403: "Not for you", 404: "Nothing here"}
_SAID: Final = {
    "retry": "The consumer will try this event again; later events of its key follow.",
    "drop": "The event was dropped; later events of its key go on.",
    "run": "The job will be run by the process that runs the jobs.",
    "pause": "The job rests until it is resumed.",
    "resume": "The job goes on.",
}
"""What the page says when a decision was taken."""

Decide = Callable[[Subject, str, str], object]


def blueprint(desk: Desk, board: Board) -> Blueprint:
    """Give /operations."""
    routes = Blueprint("operations", __name__, url_prefix="/operations", template_folder="templates", static_folder="static")
    operating = desk.operating
    decisions: Mapping[str, tuple[str, Decide]] = {
        "retry": ("dead-letter", operating.retry),
        "drop": ("dead-letter", operating.drop),
        "run": ("job", operating.run_job),
        "pause": ("job", operating.pause_job),
        "resume": ("job", operating.resume_job),
    }

    @routes.get("", strict_slashes=False)
    def home() -> str:
        session = desk.let_in("operations")
        again = request.args.get("refresh") == str(REFRESH_S)
        said = _SAID.get(request.args.get("done", ""), "")
        return render_template("operations/home.html", visit=session, may_decide=desk.may_decide(session), said=said, again=again, refresh_s=REFRESH_S, **board.read())

    @routes.post("/<decision>/<name>")
    def decide(decision: str, name: str) -> Answer:
        kind, work = decisions.get(decision, ("", None))
        session = desk.let_decide(f"{kind or 'operations'}/{name[:64]}")
        if work is None or not _NAME.fullmatch(name):
            raise NotFound
        work(session.subject, name, request_number())
        return redirect(url_for("operations.home", done=decision), 303)

    _answers(routes)
    return routes


def _answers(routes: Blueprint) -> None:
    @routes.errorhandler(ChartloopError)
    def sorry(error: ChartloopError) -> tuple[Response, int]:
        status = STATUS.get(error.category, 500)
        answer = make_response(render_template("operations/message.html", title=_TITLES.get(status, "Sorry"), text=str(error)))
        if status in (429, 503):
            answer.headers["Retry-After"] = "1"
        return answer, status

    @routes.after_request
    def close(answer: Response) -> Response:
        if request.endpoint == "operations.static":
            return answer
        for name, value in (("Content-Security-Policy", CSP), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff")):
            answer.headers[name] = value
        return answer
