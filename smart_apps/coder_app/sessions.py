"""The sessions of this process's review app."""

from __future__ import annotations

from functools import cache

from smart_apps.client.sessions import SessionStore


@cache
def store() -> SessionStore:
    """Give the store of this process: Streamlit runs the page as a script, which can be handed nothing."""
    return SessionStore()
