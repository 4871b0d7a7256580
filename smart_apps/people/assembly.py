"""The pages of people put together: login, account, external provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request

from chartloop.kernel.egress import Fetched, Sent, fetch
from chartloop.kernel.errors import ChartloopError
from smart_apps.people.desk import HOME, Desk
from smart_apps.people.provider import Provider
from smart_apps.people.routes_account import account_routes
from smart_apps.people.routes_external import CALLBACK, external_routes
from smart_apps.people.routes_login import login_routes

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from chartloop.kernel.settings_sections import EgressSettings
    from smart_apps.people.people import People

STATUS = {"unauthenticated": 401, "forbidden": 403, "not-found": 404, "conflict": 409, "invalid": 400, "throttled": 429, "unavailable": 503}
TITLES = {400: "That did not work", 401: "Please sign in", 403: "Not for you", 404: "Nothing here", 429: "Too many tries", 503: "Not right now"}


def people_blueprint(people: People, egress: EgressSettings) -> Blueprint:
    """Give /login, /logout and /account."""
    routes = Blueprint("people", __name__, template_folder="templates", static_folder="static", static_url_path="/login/static")
    desk = Desk(people)
    login_routes(routes, desk)
    account_routes(routes, desk)
    external_routes(routes, desk, _provider(people, egress))
    _answers(routes, desk)
    return routes


def _provider(people: People, egress: EgressSettings) -> Provider | None:
    oidc = people.settings.oidc
    if not oidc.issuer:
        return None

    def call(url: str, sent: Sent | None) -> Fetched:
        return fetch(url, allow_private=egress.allow_private, timeout_s=egress.timeout_s, sent=sent)

    return Provider(oidc, call, f"{people.root}{CALLBACK}")


def _answers(routes: Blueprint, desk: Desk) -> None:
    @routes.errorhandler(ChartloopError)
    def sorry(error: ChartloopError) -> tuple[str, int]:
        status = STATUS.get(error.category, 500)
        link, words = ("/login?again=1&next=/account/", "Sign in") if status in (401, 403) else (HOME, "Back")
        title = TITLES.get(status, "Sorry")
        return render_template("people/message.html", title=title, text=str(error), link=link, words=words), status

    @routes.after_request
    def close(answer: Response) -> Response:
        if request.endpoint == "people.static" or "Content-Security-Policy" in answer.headers:
            return answer
        return desk.close(answer)
