"""The refresh token grant: bound to its client, rotated at every use, narrowed at will, never widened.

Spec: https://datatracker.ietf.org/doc/html/rfc6749#section-6
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from smart_apps.server.clients import METHODS, REFRESH

if TYPE_CHECKING:
    from smart_apps.server.server import SmartAuthorizationServer


class SmartRefreshGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """Refresh token grant."""

    GRANT_TYPE = REFRESH
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = list(METHODS.values())

    server: SmartAuthorizationServer

    def validate_token_request(self) -> None:
        """Want a client that may refresh, and a token."""
        self.request.client = self.authenticate_token_endpoint_client()
        if not self.request.client.check_grant_type(REFRESH):
            raise UnauthorizedClientError("The client is not registered for refresh tokens.")
        if not self.request.form.get("refresh_token"):
            raise InvalidRequestError("Missing 'refresh_token' in request.")

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Give the next tokens."""
        answer = self.server.refresh(self.request.client, self.request.form["refresh_token"], self.request.form.get("scope") or "")
        if answer is None:
            raise InvalidGrantError("The refresh token is not valid any more. Ask the person again.")
        return 200, answer, self.TOKEN_RESPONSE_HEADER
