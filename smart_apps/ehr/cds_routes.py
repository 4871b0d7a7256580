"""Cards beside the chart: a frame of its own, so that no CDS service can hold the chart up or break it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template, request
from markupsafe import Markup

from chartloop.kernel.errors import Forbidden, Invalid, NotFound
from smart_apps.ehr import views
from smart_apps.ehr.cds_cards import Reason
from smart_apps.ehr.cds_client import CdsError, Exchange
from smart_apps.ehr.cds_visit import CdsVisit, override
from smart_apps.ehr.ehr import check_csrf, current_session, request_number
from smart_apps.ehr.markdown import markdown_to_html
from smart_apps.ehr.traffic import exchange_to_traffic

if TYPE_CHECKING:
    from flask import Blueprint

    from smart_apps.ehr.ehr import Ehr

FRAMED = ("ehr.cards", "ehr.card_feedback")
MAX_TEXT = 200


def cds_routes(routes: Blueprint, ehr: Ehr) -> None:
    """Add GET /ehr/patients/<id>/cards and POST /ehr/cards/feedback."""
    cards_route(routes, ehr)
    feedback_route(routes, ehr)


def cards_route(routes: Blueprint, ehr: Ehr) -> None:
    """Add the frame of the cards."""

    @routes.get("/patients/<id_>/cards")
    def cards(id_: str) -> str:
        session = current_session(ehr)
        chart = ehr.chart(session)
        if not views.may_see_cards(chart) or not session.subject.user:
            raise Forbidden
        if chart.read(f"Patient/{id_}") is None:
            raise NotFound
        launch_urls = {app.launch_url: app.client_id for app in ehr.apps()}
        number = request_number()
        visit = CdsVisit(ehr.cds, ehr.database, lambda subject: ehr.chart_as(subject, number), fhir_base=ehr.server.fhir_base, launch_urls=launch_urls)
        said = visit.cards(session, id_)
        traffic = [exchange_to_traffic(c.exchange) for c in said if c.exchange is not None]
        return render_template("ehr/cards.html", session=session, patient=id_, consultations=said, traffic=traffic, html=_html)


def _html(detail: str) -> Markup:
    return Markup(markdown_to_html(detail))  # noqa: S704 nh3 cleaned it  # nosec B704


def feedback_route(routes: Blueprint, ehr: Ehr) -> None:
    """Add the answer to an override."""

    @routes.post("/cards/feedback")
    def card_feedback() -> str:
        session = current_session(ehr)
        check_csrf(session)
        form = {name: value[:MAX_TEXT] for name, value in request.form.items()}
        reason = Reason(form.get("code", ""), form.get("system", ""), form.get("display", ""))
        if not form.get("card") or not reason.code:
            message = "This form names no card and reason."
            raise Invalid(message)
        try:
            service = ehr.cds.service(request.form.get("base", ""), form.get("service", ""))
        except CdsError as error:
            return _said(form, "Your reason was not taken.", str(error))
        if service is None:
            raise NotFound
        exchange = Exchange(f"{service.url}/feedback", override(form["card"], reason))
        try:
            ehr.cds.call(exchange)
        except CdsError as error:
            return _said(form, "Your reason was not taken.", str(error), exchange)
        return _said(form, "Set aside.", f"The service was told: {reason.display or reason.code}.", exchange)


def _said(form: dict[str, str], title: str, text: str, *exchanges: Exchange) -> str:
    traffic = [exchange_to_traffic(exchange) for exchange in exchanges]
    return render_template("ehr/feedback.html", title=title, text=text, patient=form.get("patient", ""), traffic=traffic)
