"""The pages of the authorization server: choosing, consent, and the apps that a person has allowed."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Blueprint, Response, redirect, render_template, request

from chartloop.kernel import clock
from chartloop.kernel.errors import ChartloopError, Forbidden, NotFound
from smart_apps.server import authorizations
from smart_apps.server.answers import closed
from smart_apps.server.consent import PAGE
from smart_apps.server.scope_words import scope_words

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as AnyResponse

    from smart_apps.server.authorizations import Authorization
    from smart_apps.server.consent import Consent
    from smart_apps.sessions import EhrSession

STATUS = {"unauthenticated": 401, "forbidden": 403, "not-found": 404, "invalid": 400, "unavailable": 503}
APPS = "/oauth/apps"


def pages(consent: Consent) -> Blueprint:
    """Give the pages."""
    routes = Blueprint("smart_pages", __name__, template_folder="templates", static_folder="static", static_url_path="/oauth/static")
    _authorize(routes, consent)
    _apps(routes, consent)

    @routes.errorhandler(ChartloopError)
    def sorry(error: ChartloopError) -> Response:
        status = STATUS.get(error.category, 500)
        return closed(Response(render_template("smart/message.html", title="Sorry", text=str(error)), status=status))

    return routes


def _authorize(routes: Blueprint, consent: Consent) -> None:
    @routes.route("/oauth/authorize", methods=["GET", "POST"])
    def authorize() -> Response:
        return consent.begin()

    @routes.get(PAGE)
    def ask() -> AnyResponse:
        session = consent.session()
        if session is None:
            return _login()
        return consent.show(session, request.args.get("request", ""))

    @routes.post(PAGE)
    def answer() -> Response:
        return consent.answer(_signed_in(consent), request.form.get("request", ""))


def _apps(routes: Blueprint, consent: Consent) -> None:
    @routes.get(APPS)
    def apps() -> AnyResponse:
        session = consent.session()
        if session is None:
            return _login()
        listed = [_row(consent, given) for given in _given(consent, session)]
        return closed(Response(render_template("smart/apps.html", session=session, apps=listed)))

    @routes.post(APPS)
    def end() -> AnyResponse:
        session = _signed_in(consent)
        wanted = next((given for given in _given(consent, session) if given.id == request.form.get("id")), None)
        if wanted is None:
            raise NotFound
        consent.server.end(wanted)
        return redirect(APPS, 303)


def _given(consent: Consent, session: EhrSession) -> list[Authorization]:
    with consent.database.read() as db:
        return authorizations.of_person(db, session.subject.id)


def _row(consent: Consent, given: Authorization) -> dict[str, object]:
    client = consent.server.query_client(given.client_id)
    return {
        "id": given.id,
        "name": client.name if client else given.client_id,
        "words": [scope_words(text) for text in given.scopes],
        "created": clock.iso(given.created)[:10],
        "expires": clock.iso(given.expires)[:10],
        "offline": given.offline,
    }


def _signed_in(consent: Consent) -> EhrSession:
    """Find who sends a form, and that it is a form of their session.

    Raises:
        Forbidden: It is not.
    """
    session = consent.session()
    if session is None or not compare_digest(request.form.get("csrf", "").encode(), session.csrf.encode()):
        message = "This form is not of your session. Go back and try again."
        raise Forbidden(message)
    return session


def _login() -> AnyResponse:
    here = request.full_path.removesuffix("?")
    return redirect(f"/login?next={quote(here, safe='')}", 303)
