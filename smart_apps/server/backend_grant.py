"""Backend services: the client credentials grant for registered services that prove themselves by a key.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from authlib.oauth2.rfc6749 import InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from smart_apps.server.clients import ASYMMETRIC, BACKEND, METHODS

if TYPE_CHECKING:
    from smart_apps.server.server import SmartAuthorizationServer


class BackendGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """Client credentials grant."""

    GRANT_TYPE = BACKEND
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = list(METHODS.values())

    server: SmartAuthorizationServer

    def validate_token_request(self) -> None:
        """Want a service that was registered with a key and a role."""
        client = self.request.client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(BACKEND) or client.kind != ASYMMETRIC or not client.role:
            raise UnauthorizedClientError("The client is not registered as a backend service.")

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Give a short token with what was registered and asked for."""
        answer = self.server.backend(self.request.client, self.request.form.get("scope") or "")
        if answer is None:
            raise InvalidScopeError("None of the scopes is registered for this service; ask for system scopes.")
        return 200, answer, self.TOKEN_RESPONSE_HEADER
