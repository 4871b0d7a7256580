"""The URLs of the explanation page: its launch, its page, its style; plain routes for any Starlette application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from smart_apps.client.fhir import EhrError, FhirClient, SessionEndedError
from smart_apps.client.launch import Launcher
from smart_apps.client.routes import LaunchRoutes
from smart_apps.client.sessions import SessionStore
from smart_apps.explainer import page
from smart_apps.explainer.reading import NothingToExplainError, read_explanation, wanted
from smart_apps.explainer.view import facts

if TYPE_CHECKING:
    from starlette.requests import Request

    from smart_apps.client.sessions import AppSession
    from smart_apps.client.settings import AppSettings

LABELS = "/cds-services/models/"


def explainer_routes(settings: AppSettings, http: httpx.Client | None = None) -> list[Route]:
    """Give the routes of the explanation page, under the path of its base URL.

    Args:
        settings: Where it runs and who may launch it.
        http: Client for the launch; a new one without redirects when none is given.
    """
    sessions = SessionStore()
    client = http or httpx.Client(timeout=settings.timeout_s, follow_redirects=False)
    explainer = Explainer(settings, sessions)
    return [
        *LaunchRoutes(settings, Launcher(settings, sessions, client), sessions).routes(),
        Route(f"{settings.path}/", explainer.show),
        Route(f"{settings.path}/style.css", explainer.style),
        Route(settings.path, lambda _: RedirectResponse(f"{settings.path}/", 308)),
    ]


class Explainer:
    """The page of one browser's session."""

    def __init__(self, settings: AppSettings, sessions: SessionStore) -> None:
        self._settings = settings
        self._sessions = sessions
        self._headers = page.headers(settings.ancestors)

    async def style(self, _: Request) -> Response:
        """Give the style sheet."""
        return Response(page.style(), media_type="text/css", headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=300"})

    async def show(self, request: Request) -> Response:
        """Show the estimate that the launch is about, or another one of the same patient."""
        session = self._sessions.find(request.cookies.get(self._settings.session_cookie))
        if session is None:
            return self._say(401, "Open this page from your EHR", "It has no sign-in of its own: a risk card in the EHR leads here.")
        try:
            return self._page(200, await run_in_threadpool(self._explain, session, request.query_params.get("estimate", "")))
        except NothingToExplainError as error:
            return self._say(404, "Nothing to explain", str(error), session.csrf)
        except SessionEndedError:
            return self._say(401, "Your session has ended", "Open the card in the EHR again.")
        except EhrError as error:
            return self._say(502, "The EHR could not answer", str(error), session.csrf)

    def _explain(self, session: AppSession, chosen: str) -> str:
        found = read_explanation(FhirClient(session), session.patient, chosen or wanted(session.app_context))
        root = next((origin for origin in self._settings.ancestors if session.issuer.startswith(f"{origin}/")), "")
        return page.explanation(facts(found, banner=session.need_patient_banner, labels=f"{root}{LABELS}"), session.csrf)

    def _say(self, status: int, title: str, text: str, csrf: str = "") -> Response:
        return self._page(status, page.message(title, text, csrf))

    def _page(self, status: int, body: str) -> Response:
        return HTMLResponse(body.encode("utf-8", "replace"), status, headers=self._headers)
