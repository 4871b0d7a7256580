"""Simulated errors: what a registered test client may ask for, so that the authors of an app see how it fails.

Asked for by the parameter `simulate` of the authorization request, or by the registration of the client; refused for every other client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidClientError, InvalidGrantError, InvalidRequestError, InvalidScopeError

if TYPE_CHECKING:
    from smart_apps.server.clients import Client

SAID: Final = "Simulated for a test client."


class ServerError(OAuth2Error):  # type: ignore[misc]
    """The server cannot answer now."""

    error = "server_error"
    status_code = 503


AT_AUTHORIZE: Final[dict[str, type[OAuth2Error]]] = {
    "authorize-access-denied": AccessDeniedError,
    "authorize-invalid-scope": InvalidScopeError,
    "authorize-server-error": ServerError,
}
AT_TOKEN: Final[dict[str, type[OAuth2Error]]] = {
    "token-invalid-client": InvalidClientError,
    "token-invalid-grant": InvalidGrantError,
    "token-invalid-request": InvalidRequestError,
    "token-invalid-scope": InvalidScopeError,
    "token-server-error": ServerError,
}
AT_REFRESH: Final = "refresh-invalid-grant"
EXPIRED: Final = "expired-token"
"""The access token has ended although `expires_in` says otherwise."""
INVALID: Final = "invalid-token"
"""The access token was never issued."""
POWERLESS: Final = "wrong-scope"
"""The access token carries none of the scopes that the answer names."""
FAULTS: Final = frozenset({*AT_AUTHORIZE, *AT_TOKEN, AT_REFRESH, EXPIRED, INVALID, POWERLESS})


def wanted(client: Client, asked: str) -> str:
    """Say which error a request meets; "" = none.

    Raises:
        InvalidRequestError: The client is no test client, or there is no such error.
    """
    if asked and (not client.test or asked not in FAULTS):
        raise InvalidRequestError("Parameter 'simulate' is for registered test clients, and one of the documented errors.")
    return asked or (client.simulate if client.test else "")


def meet(fault: str, errors: dict[str, type[OAuth2Error]]) -> None:
    """Raise the error that is to be met here, if it is one of these."""
    if fault in errors:
        raise errors[fault](SAID)
