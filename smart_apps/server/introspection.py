"""What introspection says of a living access token, and who may ask about every one.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chartloop.kernel.access.smart_scopes import parse_all

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from smart_apps.server.authorizations import Authorization
    from smart_apps.server.issuing import Issuer

MICROSECONDS: Final = 1_000_000
TYPE: Final = "Introspection"
"""A backend service that is registered for `system/Introspection.r` may introspect every token; it is the name of no resource type."""


def may_introspect_all(subject: Subject) -> bool:
    """Whether the bearer of a token may ask about tokens of every client."""
    return any(scope.context == "system" and scope.type == TYPE and "r" in scope.letters and not scope.query for scope in parse_all(subject.scopes))


def claims_of_token(issuer: Issuer, given: Authorization, scope: str, expires: int) -> dict[str, Any]:
    """Write the answer for a token that works."""
    backend = given.subject.id == f"client:{given.client_id}"
    claims = issuer.claims(given)
    answer: dict[str, Any] = {
        "active": True,
        "scope": scope,
        "client_id": given.client_id,
        "exp": expires // MICROSECONDS,
        "token_type": "Bearer",
        "iss": claims["iss"],
        "sub": given.client_id if backend else claims["sub"],
    }
    if backend:
        return answer
    if "fhirUser" in claims:
        answer["fhirUser"] = claims["fhirUser"]
    return {**answer, **issuer.context(given)}
