"""What a site decides about its authorization server."""

from __future__ import annotations

from dataclasses import dataclass

from chartloop.kernel import auth
from smart_apps.server.brands import Brand


@dataclass(frozen=True, slots=True)
class Options:
    """Lifetimes and what is offered.

    Attributes:
        token_ttl_s: Life of an access token.
        offline_ttl_s: How long an offline authorization can be refreshed.
        online_ttl_s: How long an online one can at most, though its session lives.
        backend_ttl_s: Life of a backend service's token, five minutes at most.
        tenant: What the token response says of the organisation; "" = nothing.
        registration: Whether apps may register themselves.
        registration_scope: What apps that register themselves may ask for.
        brand: How patients recognise this organisation; None = no bundle.
        allow_private: Whether a jwks_uri may lead into a private network.
        timeout_s: Total time of fetching one.
    """

    token_ttl_s: int = auth.DEFAULT_TTL_S
    offline_ttl_s: int = 90 * 86_400
    online_ttl_s: int = 12 * 3600
    backend_ttl_s: int = 300
    tenant: str = ""
    registration: bool = False
    registration_scope: str = ""
    brand: Brand | None = None
    allow_private: bool = False
    timeout_s: float = 5.0
