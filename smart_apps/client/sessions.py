"""Sessions of an app: access tokens stay in this process, the browser holds a random name.

One process serves an app; a restart ends its sessions, and people launch again from the EHR.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from chartloop.kernel import clock

PENDING_TTL_S = 300
MICROSECONDS = 1_000_000
MAX_PENDING = 1_000


@dataclass(frozen=True, slots=True)
class Pending:
    """A launch that waits for its callback."""

    issuer: str
    token_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    code_search: str
    verifier: str
    nonce: str
    browser: str
    expires: int


@dataclass(frozen=True, slots=True)
class AppSession:
    """One person at work: where their EHR is, as whom, on what.

    Attributes:
        references: What else is open beside patient and encounter: "Task/1".
        app_context: What the EHR's link said to the app, its own text.
        need_patient_banner: Whether the EHR leaves it to the app to say whose chart this is.
        sittings: Work in progress by what it is on, kept over a reload.
        csrf: What every form of this session must send back.
    """

    issuer: str
    access_token: str = field(repr=False)
    revocation_endpoint: str
    code_search: str
    user: str
    patient: str
    expires: int
    references: tuple[str, ...] = ()
    app_context: str = ""
    need_patient_banner: bool = True
    sittings: dict[str, Any] = field(default_factory=dict, repr=False)
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def opened(self, type_: str) -> str:
        """Give the first open reference to a type; empty without one."""
        return next((reference for reference in self.references if reference.startswith(f"{type_}/")), "")


def _name(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class SessionStore:
    """Launches under way and people at work; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[str, Pending] = {}
        self._sessions: dict[str, AppSession] = {}

    def begin(self, pending: Pending) -> str:
        """Remember a launch under a fresh state; a flood of launches pushes out the oldest, not the process."""
        state = secrets.token_urlsafe(32)
        with self._lock:
            self._forget(self._pending)
            while len(self._pending) >= MAX_PENDING:
                del self._pending[next(iter(self._pending))]
            self._pending[_name(state)] = pending
        return state

    def finish(self, state: str, browser: str) -> Pending | None:
        """Take the launch that this browser began; None for an unknown, old or foreign state."""
        with self._lock:
            self._forget(self._pending)
            found = self._pending.get(_name(state))
            if found is None or not secrets.compare_digest(found.browser.encode(), browser.encode()):
                return None
            return self._pending.pop(_name(state))

    def open(self, session: AppSession) -> str:
        """Start a session and give the secret that the cookie holds."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._forget(self._sessions)
            self._sessions[_name(secret)] = session
        return secret

    def find(self, secret: str | None) -> AppSession | None:
        """Find the living session of a cookie."""
        with self._lock:
            self._forget(self._sessions)
            return self._sessions.get(_name(secret)) if secret else None

    def close(self, secret: str | None) -> AppSession | None:
        """End a session and give what it was, so that its token can be revoked."""
        with self._lock:
            return self._sessions.pop(_name(secret), None) if secret else None

    @staticmethod
    def _forget(entries: dict[str, Any]) -> None:
        now = clock.now_us()
        for name in [name for name, entry in entries.items() if entry.expires <= now]:
            del entries[name]
