"""The discovery documents: what this server offers, and nothing that it does not.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
"""

from __future__ import annotations

from typing import Any

from smart_apps.server.code_search import PATH as CODE_SEARCH

CAPABILITIES = (
    "launch-ehr",
    "client-public",
    "authorize-post",
    "context-ehr-patient",
    "context-ehr-encounter",
    "sso-openid-connect",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
SCOPES = ("openid", "fhirUser", "launch", "patient/*.rs", "user/*.cruds")


def _endpoints(root: str) -> dict[str, Any]:
    return {
        "issuer": root,
        "jwks_uri": f"{root}/oauth/jwks",
        "authorization_endpoint": f"{root}/oauth/authorize",
        "token_endpoint": f"{root}/oauth/token",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
    }


def smart_configuration(root: str) -> dict[str, Any]:
    """Describe the server at `root`, for `.well-known/smart-configuration`."""
    return {
        **_endpoints(root),
        "revocation_endpoint": f"{root}/oauth/revoke",
        "code_search_endpoint": f"{root}{CODE_SEARCH}",  # our own addition; clients ignore members they do not know
        "capabilities": list(CAPABILITIES),
    }


def openid_configuration(root: str) -> dict[str, Any]:
    """Describe the identity provider at `root`, for `.well-known/openid-configuration`."""
    return {
        **_endpoints(root),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "name"],
    }
