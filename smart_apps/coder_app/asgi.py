"""The review app as one ASGI application: Streamlit's page, the routes of its launch, and those of apps that live beside it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import streamlit as st
from starlette.middleware import Middleware

from smart_apps.client.launch import Launcher
from smart_apps.client.routes import Headers, LaunchRoutes
from smart_apps.coder_app.sessions import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import Route

    from smart_apps.client.settings import AppSettings

PAGE = Path(__file__).with_name("page.py")


def application(settings: AppSettings, beside: Sequence[Route] = ()) -> Any:
    """Build the app for an ASGI server, with the routes of other apps in front of Streamlit's."""
    # Everything the page imports, before anybody comes: script threads that import the same modules at once fail now and then.
    import_module("smart_apps.coder_app.page")
    http = httpx.Client(timeout=settings.timeout_s, follow_redirects=False)
    launcher = Launcher(settings, store(), http)
    return st.App(
        PAGE,
        routes=[*LaunchRoutes(settings, launcher, store()).routes(), *beside],
        middleware=[Middleware(Headers, ancestors=settings.ancestors)],
    )


def run(settings: AppSettings, host: str, port: int, beside: Sequence[Route] = ()) -> None:
    """Serve on an address until the process is told to stop; browsers may reach it under another name."""
    application(settings, beside).run(
        config={
            "server.address": host,
            "server.port": port,
            "server.headless": True,
            "server.scriptHealthCheckEnabled": True,
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
