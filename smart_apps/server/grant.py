"""The authorization code grant as SMART wants it: S256 for everyone, `aud`, launch tokens, context in the answer.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from smart_apps.server import faults, scoping
from smart_apps.server.clients import METHODS
from smart_apps.server.launches import LaunchContext
from smart_apps.server.pending import Pending
from smart_apps.server.scope_words import is_fixed

if TYPE_CHECKING:
    from smart_apps.server.clients import Client
    from smart_apps.server.codes import AuthorizationCode
    from smart_apps.server.server import SmartAuthorizationServer
    from smart_apps.sessions import EhrSession

S256_LENGTH: Final = 43
MAX_PARAMETER: Final = 4096
_ONCE: Final = ("aud", "launch", "code_challenge", "code_challenge_method", "state", "nonce", "simulate")


class S256Only(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256, for every client: `plain`, a missing challenge and a missing method are refused."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar[list[str]] = ["S256"]
    CODE_CHALLENGE_METHODS: ClassVar[dict[str, Any]] = {"S256": CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}

    def validate_code_challenge(self, grant: SmartGrant, redirect_uri: str) -> None:
        """Want a challenge of the only length that S256 has, and the method by name."""
        data = grant.request.payload.data
        if len(data.get("code_challenge") or "") != S256_LENGTH or data.get("code_challenge_method") != "S256":
            message = "PKCE with code_challenge_method S256 is required of every client."
            raise InvalidRequestError(message)
        super().validate_code_challenge(grant, redirect_uri)


class SmartGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """Authorization code grant with a SMART launch."""

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = list(METHODS.values())

    server: SmartAuthorizationServer

    def validate_authorization_request(self) -> str:
        """Check what the code flow asks for, then what SMART adds."""
        if not self.request.payload.redirect_uri:
            message = "Missing 'redirect_uri' in request."
            raise InvalidRequestError(message)
        redirect_uri: str = super().validate_authorization_request()
        for check in (self._check_parameters, self._check_audience, self._check_launch, self._check_fault):
            try:
                check()
            except (InvalidRequestError, InvalidScopeError) as error:
                error.redirect_uri = redirect_uri
                raise
        return redirect_uri

    def _check_parameters(self) -> None:
        for name in _ONCE:
            given = self.request.payload.datalist.get(name, [])
            if len(given) > 1 or any(len(value) > MAX_PARAMETER for value in given):
                message = f"Multiple or too long '{name}' in request."
                raise InvalidRequestError(message)
        if not self.request.payload.state:
            message = "Missing 'state' in request."
            raise InvalidRequestError(message)

    def _check_audience(self) -> None:
        audience = self.request.payload.data.get("aud") or ""
        if audience.rstrip("/") != self.server.fhir_base:
            message = "The 'aud' of the request is not the FHIR base URL of this server."
            raise InvalidRequestError(message)

    def _check_launch(self) -> None:
        """The scope `launch` and the parameter `launch` belong together."""
        if ("launch" in self.request.scope.split()) == bool(self.request.payload.data.get("launch")):
            return
        if self.request.payload.data.get("launch"):
            message = "Scope 'launch' is required of a launch from the EHR."
            raise InvalidScopeError(message)
        message = "Scope 'launch' is for a launch from the EHR: the parameter 'launch' is missing."
        raise InvalidRequestError(message)

    def _check_fault(self) -> None:
        faults.wanted(self.request.client, self.request.payload.data.get("simulate") or "")

    def pending(self, session: EhrSession) -> Pending:
        """Say what is asked for, as far as this person can grant it; the launch token is spent.

        Raises:
            OAuth2Error: The launch is not of this session and client, or there is nothing that could be granted.
        """
        request, data = self.request, self.request.payload.data
        fault = faults.wanted(request.client, data.get("simulate") or "")
        faults.meet(fault, faults.AT_AUTHORIZE)
        scopes = scoping.for_person(request.scope.split(), session.subject, self.server.enforceable)
        if all(map(is_fixed, scopes)):  # what is open tells an app nothing of what it may read there, and a person could only say no
            message = "None of the scopes can be granted."
            raise InvalidScopeError(message)
        context, wants = self._launch(session, scopes)
        return Pending(
            client_id=request.client.client_id,
            redirect_uri=request.payload.redirect_uri,
            state=request.payload.state,
            scope=" ".join(scopes),
            challenge=data["code_challenge"],
            nonce=data.get("nonce") or "",
            context=replace(context, simulate=fault),
            wants=wants,
        )

    def _launch(self, session: EhrSession, scopes: list[str]) -> tuple[LaunchContext, tuple[str, ...]]:
        """Give the context that is known, and what a person must still choose."""
        context = LaunchContext()
        if "launch" in scopes:
            found = self.server.redeem(self.request.payload.data["launch"], session, self.request.client)
            if found is None:
                message = "The launch token is not valid for this session. Launch the app from the EHR again."
                raise InvalidRequestError(message)
            context = found
        own = session.subject.patient.removeprefix("Patient/")
        if own and not context.patient:
            context = replace(context, patient=own)
        if "launch" in scopes and not context.patient and scoping.LAUNCH_PATIENT not in scopes and scoping.wants_patient(scopes):
            message = "Patient scopes need a patient in the launch context."
            raise InvalidScopeError(message)
        wants_encounter = scoping.LAUNCH_ENCOUNTER in scopes and not context.encounter
        wants_patient = not context.patient and (scoping.wants_patient(scopes) or wants_encounter)
        return context, ("patient",) * wants_patient + ("encounter",) * wants_encounter

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        """Find the code; one that was spent before revokes what it gave."""
        return self.server.unspent_code(code, client)

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Issue an opaque access token with the launch context beside it."""
        answer = self.server.exchange(self.request.client, self.request.authorization_code)
        if answer is None:
            message = "Invalid 'code' in request."
            raise InvalidGrantError(message)
        return 200, answer, self.TOKEN_RESPONSE_HEADER
