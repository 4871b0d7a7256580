"""What every page of the EHR is made from, and who is looking at it."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING

from flask import request

from chartloop.kernel.errors import Forbidden, Unauthenticated
from chartloop.kernel.http import WHO, request_id
from smart_apps.ehr.chart import Chart
from smart_apps.explainer.settings import CLIENT_ID as EXPLAINER
from smart_apps.server import clients
from smart_apps.server.routes import COOKIE

if TYPE_CHECKING:
    from chartloop.kernel.access.engine import Access
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db import Database
    from fhir_server.repository import Repository
    from smart_apps.ehr.cds_client import CdsClient
    from smart_apps.server.clients import Client
    from smart_apps.server.server import SmartAuthorizationServer
    from smart_apps.sessions import EhrSession, Sessions


@dataclass(frozen=True, slots=True)
class Ehr:
    """What the pages are made from."""

    database: Database
    repository: Repository
    access: Access
    sessions: Sessions
    server: SmartAuthorizationServer
    cds: CdsClient

    def apps(self) -> list[Client]:
        """List the apps that can be launched."""
        with self.database.read() as db:
            return clients.launchable(db)

    def task_apps(self) -> list[Client]:
        """List the apps that work on Tasks."""
        return [app for app in self.apps() if any(scope.startswith("user/Task.") for scope in app.scope.split())]

    def chart_apps(self) -> list[Client]:
        """List the apps that open one patient's chart; the explanation page is opened by its card."""
        return [app for app in self.apps() if app.client_id != EXPLAINER and _opens_charts(app.scope.split())]

    def chart(self, session: EhrSession) -> Chart:
        """Open the chart for one request of one person."""
        return self.chart_as(session.subject, request_number())

    def chart_as(self, subject: Subject, request: str) -> Chart:
        """Open the chart for one request of anybody."""
        return Chart(self.repository, self.database, self.access, subject, request, fhir_base=self.server.fhir_base)


def _opens_charts(scopes: list[str]) -> bool:
    return "launch" in scopes and any(scope.startswith("patient/") for scope in scopes)


def request_number() -> str:
    """Give the number of the request that is being answered, for its audit records."""
    return str(request.environ.get("chartloop.request_id") or request_id(request.environ))


def current_session(ehr: Ehr) -> EhrSession:
    """Find who sends this request.

    Raises:
        Unauthenticated: Nobody who entered.
    """
    found = ehr.sessions.find(request.cookies.get(COOKIE))
    if found is None:
        message = "Sign in, or enter by the link that your administrator gave you."
        raise Unauthenticated(message)
    request.environ[WHO] = found.subject
    return found


def check_csrf(session: EhrSession) -> None:
    """Refuse a form that is not of this session.

    Raises:
        Forbidden: It is not.
    """
    if not compare_digest(request.form.get("csrf", "").encode(), session.csrf.encode()):
        message = "This form is not of your session. Go back and try again."
        raise Forbidden(message)
