"""What a SMART app must be told: where it runs, who it is, what it may ask for, and which EHRs may launch it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


def session_cookie(client_id: str) -> str:
    """Give the name of the cookie that holds the secret of a session of an app."""
    return client_id.replace("-", "_")


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Settings of one app.

    Attributes:
        client_id: Its registration at the EHRs.
        name: What people call it.
        scope: What it asks for.
        base_url: Where browsers reach it, "http://127.0.0.1:8501" or "https://apps.example/explain".
        issuers: FHIR base URLs of the EHRs that may launch it.
        timeout_s: How long one answer of the EHR may take.
    """

    client_id: str
    name: str
    scope: str
    base_url: str
    issuers: tuple[str, ...]
    timeout_s: float = 15.0

    @property
    def path(self) -> str:
        """The path under which the app lives; empty at the root."""
        return urlsplit(self.base_url).path.rstrip("/")

    @property
    def redirect_uri(self) -> str:
        """Where the authorization server sends the browser back."""
        return f"{self.base_url.rstrip('/')}/callback"

    @property
    def launch_url(self) -> str:
        """Where the EHR starts the app."""
        return f"{self.base_url.rstrip('/')}/launch"

    @property
    def session_cookie(self) -> str:
        """Name of the cookie that holds the secret of a session."""
        return session_cookie(self.client_id)

    @property
    def launch_cookie(self) -> str:
        """Name of the cookie that binds a launch to its browser."""
        return f"{self.session_cookie}_launch"

    @property
    def origin(self) -> str:
        """The web origin of the app."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.base_url))

    @property
    def ancestors(self) -> tuple[str, ...]:
        """Origins of the EHRs, which alone may frame the app."""
        return tuple(dict.fromkeys("{0.scheme}://{0.netloc}".format(urlsplit(issuer)) for issuer in self.issuers))
