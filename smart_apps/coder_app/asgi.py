"""The review app as one ASGI application: Streamlit's page and the two routes of a SMART launch.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

import secrets
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from smart_apps.coder_app.launch import Launcher, LaunchError
from smart_apps.coder_app.sessions import store

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from smart_apps.coder_app.settings import AppSettings

SESSION_COOKIE = "chartloop_review"
LAUNCH_COOKIE = "chartloop_review_launch"
LAUNCH_COOKIE_S = 300
PAGE = Path(__file__).with_name("page.py")


class Headers:
    """Adds the headers that Streamlit does not send: who may frame the app, and what leaves with a click."""

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
                message["headers"] = [*message.get("headers", ()), *self._added]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class LaunchRoutes:
    """GET /launch, GET /callback, GET /leave."""

    def __init__(self, settings: AppSettings, launcher: Launcher) -> None:
        self._settings = settings
        self._launcher = launcher
        self._secure = urlsplit(settings.base_url).scheme == "https"

    def routes(self) -> list[Route]:
        """Give the routes for Starlette."""
        return [
            Route("/launch", self.launch),
            Route("/callback", self.callback),
            Route("/leave", self.leave),
        ]

    def _cookie(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        response.set_cookie(name, value, max_age=max_age_s, httponly=True, samesite="lax", secure=self._secure, path="/")

    async def launch(self, request: Request) -> Response:
        """Start at the EHR's wish: ask who is there, with a browser secret that the callback must bring back."""
        browser = secrets.token_urlsafe(32)
        query = request.query_params
        try:
            target = await run_in_threadpool(self._launcher.begin, query.get("iss", ""), query.get("launch", ""), browser)
        except LaunchError as error:
            return _sorry(str(error))
        response = RedirectResponse(target, status_code=302)
        self._cookie(response, LAUNCH_COOKIE, browser, LAUNCH_COOKIE_S)
        return response

    async def callback(self, request: Request) -> Response:
        """Take the EHR's answer and open the session."""
        query = request.query_params
        if query.get("error"):
            return _sorry(query.get("error_description") or "The EHR did not authorise the launch.")
        browser = request.cookies.get(LAUNCH_COOKIE, "")
        try:
            secret = await run_in_threadpool(self._launcher.finish, query.get("state", ""), query.get("code", ""), browser)
        except LaunchError as error:
            return _sorry(str(error))
        response = RedirectResponse("/", status_code=303)
        session = store().find(secret)
        self._cookie(response, SESSION_COOKIE, secret, 8 * 3600 if session else 0)
        response.delete_cookie(LAUNCH_COOKIE, path="/")
        return response

    async def leave(self, request: Request) -> Response:
        """End the session, revoke its token, and go back to the EHR."""
        session = store().close(request.cookies.get(SESSION_COOKIE))
        if session is not None:
            await run_in_threadpool(self._launcher.revoke, session)
        home = self._settings.ancestors[0] if self._settings.ancestors else ""
        response = RedirectResponse(f"{home}/ehr/", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path="/")
        return response


def _sorry(text: str) -> HTMLResponse:
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Not launched</title>"
        "<body style='font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:12vh auto;padding:0 1.5rem;color:#1b2733'>"
        f"<h1 style='font-size:1.4rem'>The review app was not launched</h1><p>{escape(text)}</p>"
    )
    return HTMLResponse(body, status_code=400, headers={"Cache-Control": "no-store"})


def application(settings: AppSettings) -> Any:
    """Build the app for an ASGI server."""
    # Everything the page imports, before anybody comes: script threads that import the same modules at once fail now and then.
    import_module("smart_apps.coder_app.page")
    http = httpx.Client(timeout=settings.timeout_s, follow_redirects=False)
    launcher = Launcher(settings, store(), http)
    return st.App(
        PAGE,
        routes=LaunchRoutes(settings, launcher).routes(),
        middleware=[Middleware(Headers, ancestors=settings.ancestors)],
    )


def run(settings: AppSettings) -> None:
    """Serve the app until the process is told to stop."""
    address = urlsplit(settings.base_url)
    application(settings).run(
        config={
            "server.address": address.hostname or "127.0.0.1",
            "server.port": address.port or 8501,
            "server.headless": True,
            "server.fileWatcherType": "none",
            "runner.magicEnabled": False,
            "browser.gatherUsageStats": False,
            "client.toolbarMode": "minimal",
            "client.showErrorDetails": "none",
            "client.showErrorLinks": False,
            "theme.base": "light",
            "theme.primaryColor": "#0b6e6e",
            "theme.textColor": "#1b2733",
        }
    )
