"""The authorization code grant as SMART wants it: S256 for everyone, `aud`, launch tokens, context in the answer.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from chartloop.kernel.access.smart_scopes import parse_all
from smart_apps.opaque import new_secret
from smart_apps.server.codes import AuthorizationCode

if TYPE_CHECKING:
    from smart_apps.server.clients import Client
    from smart_apps.server.launches import LaunchContext
    from smart_apps.server.server import SmartAuthorizationServer
    from smart_apps.sessions import EhrSession

S256_LENGTH = 43


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

    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = ["none"]

    server: SmartAuthorizationServer

    def validate_authorization_request(self) -> str:
        """Check what the code flow asks for, then what SMART adds."""
        if not self.request.payload.redirect_uri:
            message = "Missing 'redirect_uri' in request."
            raise InvalidRequestError(message)
        redirect_uri: str = super().validate_authorization_request()
        for check in (self._check_parameters, self._check_audience, self._check_scope):
            try:
                check()
            except (InvalidRequestError, InvalidScopeError) as error:
                error.redirect_uri = redirect_uri
                raise
        return redirect_uri

    def _check_parameters(self) -> None:
        for name in ("aud", "launch", "code_challenge", "state", "nonce"):
            if len(self.request.payload.datalist.get(name, [])) > 1:
                message = f"Multiple '{name}' in request."
                raise InvalidRequestError(message)
        if not self.request.payload.state:
            message = "Missing 'state' in request."
            raise InvalidRequestError(message)

    def _check_audience(self) -> None:
        audience = self.request.payload.data.get("aud") or ""
        if audience.rstrip("/") != self.server.fhir_base:
            message = "The 'aud' of the request is not the FHIR base URL of this server."
            raise InvalidRequestError(message)

    def _check_scope(self) -> None:
        if "launch" not in self.request.scope.split():
            message = "Scope 'launch' is required: this server starts apps from the EHR."
            raise InvalidScopeError(message)

    def launch(self, session: EhrSession) -> LaunchContext:
        """Spend the launch token of the request.

        Raises:
            InvalidRequestError: The token is not of this session and client, or no longer good.
            InvalidScopeError: Scopes of one patient are asked for and no patient is open.
        """
        token = self.request.payload.data.get("launch") or ""
        context = self.server.redeem(token, session, self.request.client)
        if context is None:
            message = "The launch token is not valid for this session. Launch the app from the EHR again."
            raise InvalidRequestError(message)
        if not context.patient and any(scope.context == "patient" for scope in parse_all(self.request.scope.split())):
            message = "Patient scopes need a patient in the launch context."
            raise InvalidScopeError(message)
        return context

    def create_authorization_response(self, redirect_uri: str, grant_user: EhrSession) -> tuple[int, str, list[tuple[str, str]]]:
        """Spend the launch, keep the code, send the browser back."""
        try:
            self.request.credential = self.launch(grant_user)
        except (InvalidRequestError, InvalidScopeError) as error:
            error.redirect_uri = redirect_uri
            raise
        answer: tuple[int, str, list[tuple[str, str]]] = super().create_authorization_response(redirect_uri, grant_user)
        return answer

    def generate_authorization_code(self) -> str:
        """Make the code from the same source as every other secret here."""
        return new_secret()

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Keep the code with everything the token will need."""
        session: EhrSession = request.user
        data = request.payload.data
        self.server.save_code(
            code,
            AuthorizationCode(
                session=session.id,
                client_id=request.client.client_id,
                redirect_uri=request.payload.redirect_uri,
                scope=request.scope,
                code_challenge=data["code_challenge"],
                nonce=data.get("nonce") or "",
                subject=session.subject,
                context=request.credential,
            ),
        )

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        """Find the code; one that was spent before revokes the token that it gave."""
        return self.server.unspent_code(code, client)

    def authenticate_user(self, authorization_code: AuthorizationCode) -> AuthorizationCode:
        """Take the person who authorised; the session was checked when the code was made."""
        return authorization_code

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Issue an opaque access token with the launch context beside it."""
        answer = self.server.exchange(self.request.authorization_code)
        if answer is None:
            message = "Invalid 'code' in request."
            raise InvalidGrantError(message)
        return 200, answer, self.TOKEN_RESPONSE_HEADER
