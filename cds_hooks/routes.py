"""The addresses of CDS Hooks: discovery, the service, its feedback, and the labels of its models.

Spec: https://cds-hooks.hl7.org/2.0/
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from flask import Blueprint, Response, jsonify, render_template, request

from cds_hooks import feedback
from cds_hooks.card_id import model_of
from cds_hooks.discovery import SERVICE, services
from cds_hooks.feedback_log import FeedbackLog
from cds_hooks.model_page import ModelLabel, sections, title_of
from cds_hooks.risk_models import RISK_MODELS
from cds_hooks.stroke_risk import StrokeRisk
from chartloop.kernel.errors import ChartloopError, MethodNotAllowed, NotFound, UnsupportedMedia
from chartloop.kernel.http import PAGE_HEADERS, read_body
from fhir_server.http.outcome import status_of

PATH: Final = "/cds-services"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PAGE: Final = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
_RETRY: Final = frozenset({429, 503})
_log = logging.getLogger(__name__)


class Callers(Protocol):
    """EHRs whose calls are signed."""

    @property
    def wanted(self) -> bool:
        """Whether calls must be."""
        ...

    def prove(self, authorization: str, url: str) -> str:
        """Return who signed a call of an address, by its Authorization header; Unauthenticated where nobody did."""
        ...


@dataclass(frozen=True, slots=True)
class Cds:
    """What the addresses answer from."""

    service: StrokeRisk
    feedback: FeedbackLog
    model_label: ModelLabel
    key: bytes
    body_max_bytes: int
    base: str = ""
    """Base URL of this server, which callers name in `aud`."""
    callers: Callers | None = None
    """Who must sign their calls; none: nobody is asked who calls."""


def blueprint(cds: Cds) -> Blueprint:
    """Give /cds-services."""
    routes = Blueprint("cds_hooks", __name__, template_folder="templates", static_folder="static", static_url_path=f"{PATH}/static")
    _discovery(routes)
    _calls(routes, cds)
    _labels(routes, cds)
    return routes


def _discovery(routes: Blueprint) -> None:
    @routes.route(PATH, methods=["GET"], provide_automatic_options=False)
    def discovery() -> Response:
        answer = jsonify(services=services())
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    @routes.route(PATH, methods=["OPTIONS"])
    def preflight() -> Response:
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
        }
        return Response(status=204, headers=headers)


def _calls(routes: Blueprint, cds: Cds) -> None:
    @routes.route(f"{PATH}/<service>", methods=_METHODS)
    def call(service: str) -> Response:
        def cards(body: bytes, number: str) -> dict[str, Any]:
            _require_caller(cds, body)
            return {"cards": cds.service.answer(body, number)}

        return _answer(cds, service, cards)

    @routes.route(f"{PATH}/<service>/feedback", methods=_METHODS)
    def take_feedback(service: str) -> Response:
        def keep(body: bytes, number: str) -> dict[str, Any]:
            entries = feedback.decode(body, lambda card: model_of(cds.key, card, RISK_MODELS))
            return {"stored": cds.feedback.keep(service, entries, number)}

        return _answer(cds, service, keep)


def _require_caller(cds: Cds, body: bytes) -> None:
    """Refuse who must sign and did not; whoever hands over a token that this server gave out has proven enough by it."""
    if cds.callers is None or not cds.callers.wanted or (not request.authorization and cds.service.holds_our_token(body)):
        return
    cds.callers.prove(request.headers.get("Authorization", ""), f"{cds.base}{request.path}")


def _answer(cds: Cds, service: str, work: Callable[[bytes, str], dict[str, Any]]) -> Response:
    """Read the body, do the work, and turn every failure into JSON that names the place."""
    try:
        if service != SERVICE:
            raise NotFound("There is no such service.")
        if request.method != "POST":
            raise MethodNotAllowed("A service takes POST.")
        if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
            raise UnsupportedMedia("The body must be application/json in UTF-8.")
        return jsonify(work(read_body(request.environ, cds.body_max_bytes), str(request.environ.get("chartloop.request_id", ""))))
    except ChartloopError as error:
        return _refusal(error)
    except Exception as error:  # its text may quote a patient, so only its kind and place are logged
        place = traceback.format_tb(error.__traceback__)[-3:]
        _log.error("A CDS Hooks request failed.", extra={"action": "request.failed", "kind": type(error).__name__, "place": place})
        return _refusal(ChartloopError("Something went wrong inside; nothing more is known."))


def _refusal(error: ChartloopError) -> Response:
    issues = [{"path": issue.expression, "text": issue.text} if issue.expression else {"text": issue.text} for issue in error.issues]
    answer = jsonify(error=error.category, issues=issues)
    answer.status_code = status_of(error)
    if answer.status_code in _RETRY:
        answer.headers["Retry-After"] = "60" if answer.status_code == 429 else "1"
    if answer.status_code == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if answer.status_code == 405:
        answer.headers["Allow"] = "POST, OPTIONS"
    return answer


def _labels(routes: Blueprint, cds: Cds) -> None:
    @routes.get(f"{PATH}/models/<model>")
    def label(model: str) -> Response:
        found = cds.model_label(model)
        wanted = request.accept_mimetypes.best_match(["text/html", "application/json"], "text/html")
        if wanted == "application/json" or request.args.get("format") == "json":
            answer = _refusal(NotFound("There is no such model.")) if found is None else jsonify(found)
        elif found is None:
            answer = Response(render_template("cds/missing.html"), 404, _PAGE, mimetype="text/html")
        else:
            answer = Response(_page(model, found), 200, _PAGE, mimetype="text/html")
        answer.headers["Vary"] = "Accept"
        return answer


def _page(model: str, label: Any) -> str:
    listed = sections(label)
    every = [attribute for section in listed for attribute in section.attributes]
    return render_template(
        "cds/model.html",
        title=title_of(label, model),
        model=model,
        version=label.get("version", ""),
        sections=listed,
        total=len(every),
        known=sum(attribute.known for attribute in every),
    )
