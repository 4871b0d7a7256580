"""Breaking the glass in the EHR: a form that says what it does, and two that do it.

Spec: 45 CFR 164.312(a)(2)(ii) (emergency access procedure)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import redirect, request, url_for

from chartloop.kernel.access.break_glass import LONGEST, REASONS
from chartloop.kernel.errors import Forbidden, Invalid, NotFound
from smart_apps.ehr.ehr import check_csrf, current_session
from smart_apps.ehr.rows import patient_row

if TYPE_CHECKING:
    from flask import Blueprint
    from werkzeug.wrappers import Response

    from smart_apps.ehr.chart import Chart
    from smart_apps.ehr.ehr import Ehr
    from smart_apps.sessions import EhrSession

Page = Callable[..., str]
"""Renders a template of the EHR for a session and its chart."""


def emergency_routes(routes: Blueprint, ehr: Ehr, page: Page) -> None:
    """Add GET and POST /ehr/patients/<id>/emergency, and POST …/emergency/end."""

    def form(session: EhrSession, chart: Chart, id_: str, problem: str = "") -> str:
        if not chart.may_break_glass(id_):
            message = "Opening a chart in an emergency is for people who treat."
            raise Forbidden(message)
        resource = chart.read(f"Patient/{id_}")
        if resource is None:
            raise NotFound
        said = {"code": request.form.get("code", ""), "reason": request.form.get("reason", "")}
        facts = {"patient": patient_row(resource), "reasons": REASONS, "longest": LONGEST, "minutes": chart.glass_minutes}
        return page("emergency.html", session, chart, problem=problem, **said, **facts)

    @routes.get("/patients/<id_>/emergency")
    def emergency(id_: str) -> str:
        session = current_session(ehr)
        return form(session, ehr.chart(session), id_)

    @routes.post("/patients/<id_>/emergency")
    def begin_emergency(id_: str) -> Response | tuple[str, int]:
        session = current_session(ehr)
        check_csrf(session)
        chart = ehr.chart(session)
        try:
            chart.break_glass(id_, request.form.get("code", ""), request.form.get("reason", ""))
        except Invalid as error:
            return form(session, chart, id_, str(error)), 400
        return redirect(url_for("ehr.patient", id_=id_), 303)

    @routes.post("/patients/<id_>/emergency/end")
    def end_emergency(id_: str) -> Response:
        session = current_session(ehr)
        check_csrf(session)
        ehr.chart(session).mend_glass(id_)
        return redirect(url_for("ehr.patient", id_=id_), 303)
