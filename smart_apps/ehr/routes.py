"""The URLs of the demo EHR: entered by a one-time link, read under the person's own rights."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from chartloop.kernel.errors import ChartloopError, Forbidden, NotFound, Unauthenticated
from chartloop.kernel.ids import request_id
from smart_apps.ehr import views
from smart_apps.ehr.chart import Chart
from smart_apps.server import clients
from smart_apps.server.launches import LaunchContext
from smart_apps.server.routes import COOKIE
from smart_apps.sessions import SESSION_TTL_S

if TYPE_CHECKING:
    from typing import Any

    from chartloop.kernel.access.engine import Access
    from chartloop.kernel.db import Database
    from fhir_server.repository import Repository
    from smart_apps.server.clients import Client
    from smart_apps.server.server import SmartAuthorizationServer
    from smart_apps.sessions import EhrSession, Sessions

STATUS = {"unauthenticated": 401, "forbidden": 403, "not-found": 404, "gone": 410, "invalid": 400, "unavailable": 503}


@dataclass(frozen=True, slots=True)
class Ehr:
    """What the pages are made from."""

    database: Database
    repository: Repository
    access: Access
    sessions: Sessions
    server: SmartAuthorizationServer

    def apps(self) -> list[Client]:
        """List the apps that can be launched."""
        with self.database.read() as db:
            return clients.everyone(db)

    def chart(self, session: EhrSession) -> Chart:
        """Open the chart for one request of one person."""
        return Chart(self.repository, self.database, self.access, session.subject, request_id())


def blueprint(ehr: Ehr) -> Blueprint:
    """Give /ehr."""
    routes = Blueprint("ehr", __name__, url_prefix="/ehr", template_folder="templates", static_folder="static")
    _doors(routes, ehr)
    _pages(routes, ehr)
    _launching(routes, ehr)
    _answers(routes, ehr)
    return routes


def _session(ehr: Ehr) -> EhrSession:
    found = ehr.sessions.find(request.cookies.get(COOKIE))
    if found is None:
        message = "Enter by the link that your administrator gave you; nobody has a password here."
        raise Unauthenticated(message)
    g.ehr_session = found
    return found


def _page(template: str, session: EhrSession, chart: Chart, **facts: Any) -> str:
    return render_template(f"ehr/{template}", session=session, places=views.places(chart), **facts)


def _doors(routes: Blueprint, ehr: Ehr) -> None:
    @routes.get("/enter")
    def enter() -> Response:
        secret = ehr.sessions.enter(request.args.get("ticket", ""))
        answer = redirect(url_for("ehr.home"), 303)
        secure = urlsplit(ehr.server.root).scheme == "https"
        answer.set_cookie(COOKIE, secret, max_age=SESSION_TTL_S, httponly=True, samesite="Lax", secure=secure, path="/")
        return answer

    @routes.post("/leave")
    def leave() -> Response:
        _check_csrf(_session(ehr))
        ehr.sessions.leave(request.cookies.get(COOKIE, ""))
        answer = make_response(render_template("ehr/message.html", title="Goodbye", text="You have left the EHR."))
        answer.delete_cookie(COOKIE, path="/")
        return answer


def _pages(routes: Blueprint, ehr: Ehr) -> None:
    @routes.get("/")
    def home() -> Response:
        session = _session(ehr)
        places = views.places(ehr.chart(session))
        if not places:
            message = "Your role opens no page of this EHR. Its rights hold at the API."
            raise Forbidden(message)
        return redirect(url_for(places[0].endpoint), 303)

    @routes.get("/patients")
    def patients() -> str:
        session = _session(ehr)
        chart = ehr.chart(session)
        name, page = request.args.get("name", "").strip(), request.args.get("page", "")
        return _page("patients.html", session, chart, name=name, **views.patients(chart, name, page))

    @routes.get("/patients/<id_>")
    def patient(id_: str) -> str:
        session = _session(ehr)
        chart = ehr.chart(session)
        facts = views.patient(chart, id_)
        if facts is None:
            raise NotFound
        return _page("patient.html", session, chart, apps=ehr.apps(), **facts)

    @routes.get("/work")
    def work() -> str:
        session = _session(ehr)
        chart = ehr.chart(session)
        facts = views.work(chart, session.subject.user, request.args.get("page", ""))
        return _page("work.html", session, chart, apps=ehr.apps(), **facts)

    @routes.get("/claims")
    def claims() -> str:
        session = _session(ehr)
        chart = ehr.chart(session)
        return _page("claims.html", session, chart, **views.claims(chart, request.args.get("page", "")))

    @routes.get("/claims/<id_>")
    def claim(id_: str) -> str:
        session = _session(ehr)
        chart = ehr.chart(session)
        facts = views.claim(chart, id_)
        if facts is None:
            raise NotFound
        return _page("claim.html", session, chart, **facts)


def _check_csrf(session: EhrSession) -> None:
    if not compare_digest(request.form.get("csrf", ""), session.csrf):
        message = "This form is not of your session. Go back and try again."
        raise Forbidden(message)


def _launching(routes: Blueprint, ehr: Ehr) -> None:
    @routes.post("/launch")
    def launch() -> Response:
        session = _session(ehr)
        _check_csrf(session)
        app = next((app for app in ehr.apps() if app.client_id == request.form.get("app")), None)
        if app is None:
            raise NotFound
        context = _context(ehr.chart(session), request.form.get("task", ""))
        token = ehr.server.launch(session, app.client_id, context)
        query = urlencode({"iss": ehr.server.fhir_base, "launch": token})
        return redirect(f"{app.launch_url}?{query}", 303)


def _context(chart: Chart, task_id: str) -> LaunchContext:
    """Make the launch context of a Task that this person sees, or an empty one for the app's own queue."""
    if not task_id:
        return LaunchContext()
    task = chart.read(f"Task/{task_id}")
    if task is None:
        raise NotFound

    def id_of(member: str, type_: str) -> str:
        reference = str(task.get(member, {}).get("reference", ""))
        return reference.removeprefix(f"{type_}/") if reference.startswith(f"{type_}/") else ""

    return LaunchContext(
        patient=id_of("for", "Patient"),
        encounter=id_of("encounter", "Encounter"),
        intent="task",
        references=(f"Task/{task_id}",),
    )


def _answers(routes: Blueprint, ehr: Ehr) -> None:
    @routes.errorhandler(ChartloopError)
    def sorry(error: ChartloopError) -> tuple[str, int]:
        status = STATUS.get(error.category, 500)
        title = {401: "Please enter", 403: "Not for you", 404: "Nothing here", 410: "Nothing here"}.get(status, "Sorry")
        return render_template("ehr/message.html", title=title, text=str(error)), status

    @routes.after_request
    def close(answer: Response) -> Response:
        if request.endpoint == "ehr.static":
            return answer
        # A browser applies form-action to every redirect that follows a form: the app and the way back to us.
        origins = sorted({"{0.scheme}://{0.netloc}".format(urlsplit(app.launch_url)) for app in ehr.apps()})
        answer.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' {' '.join(origins)}"
        ).strip()
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer
