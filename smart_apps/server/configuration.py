"""The discovery documents: what this server offers, and nothing that it does not.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smart_apps.server import identity
from smart_apps.server.assertions import ALGORITHMS
from smart_apps.server.brands import BUNDLE_PATH
from smart_apps.server.clients import BACKEND, CODE, METHODS, REFRESH
from smart_apps.server.code_search import PATH as CODE_SEARCH

if TYPE_CHECKING:
    from smart_apps.server.options import Options

CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
SCOPES = (
    "openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access",
    "patient/*.rs", "patient/*.read", "user/*.cruds", "user/*.*", "system/*.rs",
)  # fmt: skip


def _endpoints(root: str) -> dict[str, Any]:
    return {
        "issuer": root,
        "jwks_uri": f"{root}/oauth/jwks",
        "authorization_endpoint": f"{root}/oauth/authorize",
        "token_endpoint": f"{root}/oauth/token",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "grant_types_supported": [CODE, REFRESH, BACKEND],
        "token_endpoint_auth_methods_supported": list(METHODS.values()),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


def smart_configuration(root: str, options: Options) -> dict[str, Any]:
    """Describe the server at `root`, for `.well-known/smart-configuration`."""
    return {
        **_endpoints(root),
        "introspection_endpoint": f"{root}/oauth/introspect",
        "revocation_endpoint": f"{root}/oauth/revoke",
        "management_endpoint": f"{root}/oauth/apps",
        **({"registration_endpoint": f"{root}/oauth/register"} if options.registration else {}),
        **_brand(root, options),
        "code_search_endpoint": f"{root}{CODE_SEARCH}",  # our own addition; clients ignore members they do not know
        "capabilities": list(CAPABILITIES),
    }


def _brand(root: str, options: Options) -> dict[str, Any]:
    if options.brand is None:
        return {}
    return {"user_access_brand_bundle": f"{root}{BUNDLE_PATH}", "user_access_brand_identifier": options.brand.identifier}


def openid_configuration(root: str, options: Options) -> dict[str, Any]:
    """Describe the identity provider at `root`, for `.well-known/openid-configuration`."""
    return {
        **_endpoints(root),
        **({"registration_endpoint": f"{root}/oauth/register"} if options.registration else {}),
        "userinfo_endpoint": f"{root}/oauth/userinfo",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(identity.ALGORITHMS),
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "fhirUser", "name"],
    }
