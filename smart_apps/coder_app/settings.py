"""What the review app is at an EHR: its client id, its name, its scopes."""

from __future__ import annotations

from smart_apps.client.settings import AppSettings, session_cookie

CLIENT_ID = "chartloop-review"
SESSION_COOKIE = session_cookie(CLIENT_ID)
READY = "/_stcore/script-health-check"
"""Answers 200 once the page runs to its end, which is more than that the port is open."""

SCOPE = "launch openid fhirUser user/Task.rus user/DocumentReference.rs user/Patient.r user/Encounter.r user/Claim.rs user/ClaimResponse.rs"


def review_app(base_url: str, issuers: tuple[str, ...]) -> AppSettings:
    """Give the settings of the review app at one place."""
    return AppSettings(CLIENT_ID, "review app", SCOPE, base_url.rstrip("/"), issuers)
