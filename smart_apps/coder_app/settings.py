"""What the review app must be told: where it runs, who it is, and which EHRs may launch it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Settings of the review app.

    Attributes:
        base_url: Where browsers reach the app, "http://127.0.0.1:8501".
        issuers: FHIR base URLs of the EHRs that may launch it.
        client_id: Its registration at those EHRs.
        timeout_s: How long one answer of the EHR may take.
    """

    base_url: str
    issuers: tuple[str, ...]
    client_id: str = "chartloop-review"
    timeout_s: float = 15.0

    @property
    def redirect_uri(self) -> str:
        """Where the authorization server sends the browser back."""
        return f"{self.base_url.rstrip('/')}/callback"

    @property
    def launch_url(self) -> str:
        """Where the EHR starts the app."""
        return f"{self.base_url.rstrip('/')}/launch"

    @property
    def ancestors(self) -> tuple[str, ...]:
        """Origins of the EHRs, which alone may frame the app."""
        return tuple(dict.fromkeys("{0.scheme}://{0.netloc}".format(urlsplit(issuer)) for issuer in self.issuers))


SCOPE = "launch openid fhirUser user/Task.rus user/DocumentReference.rs user/Patient.r user/Encounter.r user/Claim.rs user/ClaimResponse.rs"
