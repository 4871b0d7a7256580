"""The URLs of the demo EHR: entered by a one-time link, read under the person's own rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from chartloop.kernel.errors import ChartloopError, Forbidden, Invalid, NotFound
from smart_apps.ehr import views
from smart_apps.ehr.cds_cards import MAX_APP_CONTEXT
from smart_apps.ehr.cds_routes import FRAMED, cds_routes
from smart_apps.ehr.ehr import check_csrf, current_session
from smart_apps.ehr.emergency import open_charts
from smart_apps.ehr.emergency_routes import emergency_routes
from smart_apps.server.launches import LaunchContext
from smart_apps.server.routes import COOKIE

if TYPE_CHECKING:
    from smart_apps.ehr.chart import Chart
    from smart_apps.ehr.ehr import Ehr
    from smart_apps.sessions import EhrSession

STATUS = {"unauthenticated": 401, "forbidden": 403, "not-found": 404, "gone": 410, "invalid": 400, "unavailable": 503}


def blueprint(ehr: Ehr) -> Blueprint:
    """Give /ehr."""
    routes = Blueprint("ehr", __name__, url_prefix="/ehr", template_folder="templates", static_folder="static")
    _doors(routes, ehr)
    _pages(routes, ehr)
    cds_routes(routes, ehr)
    emergency_routes(routes, ehr, partial(_page, ehr))
    _launching(routes, ehr)
    _answers(routes, ehr)
    return routes


def _page(ehr: Ehr, template: str, session: EhrSession, chart: Chart, **facts: Any) -> str:
    return render_template(f"ehr/{template}", session=session, places=views.places(chart), opened=open_charts(ehr.database, session), **facts)


def _doors(routes: Blueprint, ehr: Ehr) -> None:
    @routes.get("/enter")
    def enter() -> Response:
        secret = ehr.sessions.enter(request.args.get("ticket", ""))
        answer = redirect(url_for("ehr.home"), 303)
        secure = urlsplit(ehr.server.root).scheme == "https"
        answer.set_cookie(COOKIE, secret, max_age=int(ehr.sessions.lifetime_s), httponly=True, samesite="Lax", secure=secure, path="/")
        return answer

    @routes.post("/leave")
    def leave() -> Response:
        check_csrf(current_session(ehr))
        ehr.sessions.leave(request.cookies.get(COOKIE, ""))
        answer = make_response(render_template("ehr/message.html", title="Goodbye", text="You have left the EHR."))
        answer.delete_cookie(COOKIE, path="/")
        return answer


def _pages(routes: Blueprint, ehr: Ehr) -> None:
    @routes.get("/")
    def home() -> Response:
        session = current_session(ehr)
        places = views.places(ehr.chart(session))
        if not places:
            message = "Your role opens no page of this EHR. Its rights hold at the API."
            raise Forbidden(message)
        return redirect(url_for(places[0].endpoint), 303)

    @routes.get("/patients")
    def patients() -> str:
        session = current_session(ehr)
        chart = ehr.chart(session)
        name, page = request.args.get("name", "").strip(), request.args.get("page", "")
        return _page(ehr, "patients.html", session, chart, name=name, **views.patients(chart, name, page))

    @routes.get("/patients/<id_>")
    def patient(id_: str) -> str:
        session = current_session(ehr)
        chart = ehr.chart(session)
        facts = views.patient(chart, id_)
        if facts is None:
            raise NotFound
        return _page(ehr, "patient.html", session, chart, apps=ehr.task_apps(), chart_apps=ehr.chart_apps(), **facts)

    @routes.get("/work")
    def work() -> str:
        session = current_session(ehr)
        chart = ehr.chart(session)
        facts = views.work(chart, session.subject.user, request.args.get("page", ""))
        return _page(ehr, "work.html", session, chart, apps=ehr.task_apps(), **facts)

    @routes.get("/claims")
    def claims() -> str:
        session = current_session(ehr)
        chart = ehr.chart(session)
        return _page(ehr, "claims.html", session, chart, **views.claims(chart, request.args.get("page", "")))

    @routes.get("/claims/<id_>")
    def claim(id_: str) -> str:
        session = current_session(ehr)
        chart = ehr.chart(session)
        facts = views.claim(chart, id_)
        if facts is None:
            raise NotFound
        return _page(ehr, "claim.html", session, chart, **facts)


def _launching(routes: Blueprint, ehr: Ehr) -> None:
    @routes.post("/launch")
    def launch() -> Response:
        session = current_session(ehr)
        check_csrf(session)
        app = next((app for app in ehr.apps() if app.client_id == request.form.get("app")), None)
        if app is None:
            raise NotFound
        chart = ehr.chart(session)
        context = _chart_context(chart) if "patient" in request.form else _context(chart, request.form.get("task", ""))
        token = ehr.server.launch(session, app.client_id, context)
        query = urlencode({"iss": ehr.server.fhir_base, "launch": token})
        return redirect(f"{app.launch_url}?{query}", 303)


def _chart_context(chart: Chart) -> LaunchContext:
    """Make the launch context of an app that is opened from a chart: the patient, and what a card tells the app if it was one."""
    patient, said = request.form["patient"], request.form.get("app_context", "")
    if len(said) > MAX_APP_CONTEXT:
        message = "The link says more to its app than may be said."
        raise Invalid(message)
    if chart.read(f"Patient/{patient}") is None:
        raise NotFound
    return LaunchContext(patient=patient, app_context=said)


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
        template = "ehr/feedback.html" if request.endpoint in FRAMED else "ehr/message.html"
        login = request.full_path.rstrip("?") if status == 401 and request.method == "GET" and request.endpoint != "ehr.enter" else "/ehr/"
        return render_template(template, title=title, text=str(error), patient="", login=login if status == 401 else ""), status

    @routes.after_request
    def close(answer: Response) -> Response:
        if request.endpoint == "ehr.static":
            return answer
        # A browser applies form-action to every redirect that follows a form: the app and the way back to us.
        origins = sorted({"{0.scheme}://{0.netloc}".format(urlsplit(app.launch_url)) for app in ehr.apps()})
        framed = "'self'" if request.endpoint in FRAMED else "'none'"
        frames = "frame-src 'self'; " if request.endpoint == "ehr.patient" else ""
        answer.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; {frames}frame-ancestors {framed}; form-action 'self' {' '.join(origins)}"
        ).strip()
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer
