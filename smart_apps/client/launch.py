"""The client's side of a SMART EHR launch: discovery, authorize with PKCE, token exchange, who it is.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from chartloop.kernel import clock
from smart_apps.client.sessions import PENDING_TTL_S, AppSession, Pending

if TYPE_CHECKING:
    from smart_apps.client.sessions import SessionStore
    from smart_apps.client.settings import AppSettings

MICROSECONDS = 1_000_000


class LaunchError(Exception):
    """The app could not be launched."""


class Launcher:
    """Launches the app for one browser at a time."""

    def __init__(self, settings: AppSettings, sessions: SessionStore, http: httpx.Client) -> None:
        self._settings = settings
        self._sessions = sessions
        self._http = http

    def begin(self, issuer: str, launch: str, browser: str) -> str:
        """Give the authorize URL for a launch.

        Args:
            issuer: `iss` of the launch; only a registered EHR is asked anything at all.
            launch: The opaque launch token.
            browser: Secret of the browser that starts, which must be the one that comes back.

        Raises:
            LaunchError: An EHR that is not registered, or one that does not answer as SMART wants.
        """
        issuer = issuer.rstrip("/")
        if issuer not in self._settings.issuers or not launch:
            message = "This EHR is not registered with the app."
            raise LaunchError(message)
        found = self._json(f"{issuer}/.well-known/smart-configuration")
        if "S256" not in found.get("code_challenge_methods_supported", ()):
            message = "This EHR does not offer PKCE with S256."
            raise LaunchError(message)
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        state = self._sessions.begin(
            Pending(
                issuer=issuer,
                token_endpoint=self._endpoint(found, "token_endpoint", issuer),
                revocation_endpoint=self._endpoint(found, "revocation_endpoint", issuer),
                jwks_uri=self._endpoint(found, "jwks_uri", issuer),
                code_search=_own(found.get("code_search_endpoint"), issuer),
                verifier=verifier,
                nonce=nonce,
                browser=browser,
                expires=clock.now_us() + PENDING_TTL_S * MICROSECONDS,
            )
        )
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": self._settings.scope,
            "state": state,
            "aud": issuer,
            "launch": launch,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        return f"{self._endpoint(found, 'authorization_endpoint', issuer)}?{urlencode(query)}"

    def finish(self, state: str, code: str, browser: str) -> str:
        """Swap the code for a session; give the secret of its cookie.

        Raises:
            LaunchError: The callback is not the answer to a launch of this browser, or the EHR refused.
        """
        pending = self._sessions.finish(state, browser)
        if pending is None:
            message = "This answer belongs to no launch of this browser. Launch the app from the EHR again."
            raise LaunchError(message)
        token = self._exchange(pending, code)
        claims = self._identify(pending, token.get("id_token", ""))
        return self._sessions.open(
            AppSession(
                issuer=pending.issuer,
                access_token=token["access_token"],
                revocation_endpoint=pending.revocation_endpoint,
                code_search=pending.code_search,
                user=str(claims.get("fhirUser", "")).removeprefix(f"{pending.issuer}/"),
                patient=_text(token.get("patient")),
                expires=clock.now_us() + int(token.get("expires_in", 0)) * MICROSECONDS,
                references=tuple(_text(entry.get("reference")) for entry in token.get("fhirContext", ())),
                app_context=_text(token.get("appContext")),
                need_patient_banner=token.get("need_patient_banner") is not False,
            )
        )

    def revoke(self, session: AppSession) -> None:
        """Tell the EHR that the token is not needed any more; a failure only means that it expires by itself."""
        if session.revocation_endpoint:
            try:
                self._http.post(session.revocation_endpoint, data={"token": session.access_token, "client_id": self._settings.client_id})
            except httpx.HTTPError:
                return

    def _endpoint(self, found: dict[str, Any], name: str, issuer: str) -> str:
        """Give an endpoint on the issuer's own origin: a verifier or token goes nowhere else."""
        url = _own(found.get(name), issuer)
        if not url:
            message = f"The EHR's configuration names no usable {name}."
            raise LaunchError(message)
        return url

    def _json(self, url: str) -> dict[str, Any]:
        try:
            answer = self._http.get(url, headers={"Accept": "application/json"})
            answer.raise_for_status()
            return dict(answer.json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            message = "The EHR did not answer with its SMART configuration."
            raise LaunchError(message) from error

    def _exchange(self, pending: Pending, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_uri,
            "client_id": self._settings.client_id,
            "code_verifier": pending.verifier,
        }
        try:
            answer = self._http.post(pending.token_endpoint, data=form)
            answer.raise_for_status()
            token = dict(answer.json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            message = "The EHR refused the code. Launch the app again."
            raise LaunchError(message) from error
        if not token.get("access_token") or str(token.get("token_type", "")).lower() != "bearer":
            message = "The EHR sent no usable access token."
            raise LaunchError(message)
        return token

    def _identify(self, pending: Pending, id_token: str) -> dict[str, Any]:
        try:
            keys = KeySet.import_key_set(self._json(pending.jwks_uri))  # type: ignore[arg-type]
            claims = dict(jwt.decode(id_token, keys, algorithms=["RS256"]).claims)
        except (JoseError, ValueError) as error:
            message = "The EHR's statement of who you are cannot be verified."
            raise LaunchError(message) from error
        ours = claims.get("aud") == self._settings.client_id and claims.get("nonce") == pending.nonce
        if not ours or int(claims.get("exp", 0)) * MICROSECONDS <= clock.now_us() or not claims.get("fhirUser"):
            message = "The EHR's statement of who you are is not for this launch."
            raise LaunchError(message)
        return claims


def _own(url: object, issuer: str) -> str:
    """Give a URL that stands on the issuer's own origin, else nothing."""
    return url if isinstance(url, str) and urlsplit(url)[:2] == urlsplit(issuer)[:2] else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
