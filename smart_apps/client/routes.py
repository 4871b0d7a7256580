"""The routes of a SMART launch at an app, and the headers of everything that the app's process answers.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

import secrets
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from smart_apps.client.launch import LaunchError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from smart_apps.client.launch import Launcher
    from smart_apps.client.sessions import SessionStore
    from smart_apps.client.settings import AppSettings

LAUNCH_COOKIE_S = 300
SESSION_COOKIE_S = 8 * 3600
MAX_FORM = 1_000


class Headers:
    """Adds the headers that an answer does not bring itself: who may frame the app, and what leaves with a click."""

    def __init__(self, app: ASGIApp, ancestors: tuple[str, ...]) -> None:
        self._app = app
        self._added = [
            (b"content-security-policy", f"frame-ancestors 'self' {' '.join(ancestors)}".encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", ())}
                message["headers"] = [*message.get("headers", ()), *(pair for pair in self._added if pair[0] not in present)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _csrf(request: Request) -> str:
    """Read what a form sends back of its session; nothing of a body that is none of our forms."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            return ""
    return parse_qs(body.decode("ascii", "replace")).get("csrf", [""])[0]


class LaunchRoutes:
    """GET launch and callback, POST leave, under the path of the app."""

    def __init__(self, settings: AppSettings, launcher: Launcher, sessions: SessionStore) -> None:
        self._settings = settings
        self._launcher = launcher
        self._sessions = sessions
        self._home = f"{settings.path}/"
        self._secure = urlsplit(settings.base_url).scheme == "https"

    def routes(self) -> list[Route]:
        """Give the routes for Starlette."""
        path = self._settings.path
        return [
            Route(f"{path}/launch", self.launch),
            Route(f"{path}/callback", self.callback),
            Route(f"{path}/leave", self.leave, methods=["POST"]),
        ]

    def _cookie(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        response.set_cookie(name, value, max_age=max_age_s, httponly=True, samesite="lax", secure=self._secure, path=self._home)

    async def launch(self, request: Request) -> Response:
        """Start at the EHR's wish: ask who is there, with a browser secret that the callback must bring back."""
        browser = secrets.token_urlsafe(32)
        query = request.query_params
        try:
            target = await run_in_threadpool(self._launcher.begin, query.get("iss", ""), query.get("launch", ""), browser)
        except LaunchError as error:
            return self._sorry(str(error))
        response = RedirectResponse(target, status_code=302)
        self._cookie(response, self._settings.launch_cookie, browser, LAUNCH_COOKIE_S)
        return response

    async def callback(self, request: Request) -> Response:
        """Take the EHR's answer and open the session."""
        query = request.query_params
        if query.get("error"):
            return self._sorry(query.get("error_description") or "The EHR did not authorise the launch.")
        browser = request.cookies.get(self._settings.launch_cookie, "")
        try:
            secret = await run_in_threadpool(self._launcher.finish, query.get("state", ""), query.get("code", ""), browser)
        except LaunchError as error:
            return self._sorry(str(error))
        response = RedirectResponse(self._home, status_code=303)
        self._cookie(response, self._settings.session_cookie, secret, SESSION_COOKIE_S if self._sessions.find(secret) else 0)
        response.delete_cookie(self._settings.launch_cookie, path=self._home)
        return response

    async def leave(self, request: Request) -> Response:
        """End the session whose form this is, revoke its token, and go back to the EHR."""
        secret = request.cookies.get(self._settings.session_cookie)
        session = self._sessions.find(secret)
        if session is not None:
            if not secrets.compare_digest((await _csrf(request)).encode(), session.csrf.encode()):
                return PlainTextResponse("This form is not of your session. Go back and try again.", status_code=403, headers={"Cache-Control": "no-store"})
            self._sessions.close(secret)
            await run_in_threadpool(self._launcher.revoke, session)
        ancestors = self._settings.ancestors
        response = RedirectResponse(f"{ancestors[0] if ancestors else ''}/ehr/", status_code=303)
        response.delete_cookie(self._settings.session_cookie, path=self._home)
        return response

    def _sorry(self, text: str) -> HTMLResponse:
        body = (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Not launched</title>"
            "<body style='font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:12vh auto;padding:0 1.5rem;color:#1b2733'>"
            f"<h1 style='font-size:1.4rem'>The {escape(self._settings.name)} was not launched</h1><p>{escape(text)}</p>"
        )
        return HTMLResponse(body, status_code=400, headers={"Cache-Control": "no-store"})
