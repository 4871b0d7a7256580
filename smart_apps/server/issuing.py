"""Token answers: access token, refresh token, id_token and the launch context beside them, written and audited in one transaction.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#response-5
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chartloop.kernel import clock
from smart_apps.opaque import digest, new_secret
from smart_apps.server import authorizations, faults, scoping
from smart_apps.server.auditing import of_authorization
from smart_apps.server.clients import REFRESH
from smart_apps.server.style import STYLE_PATH

if TYPE_CHECKING:
    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import Tx
    from smart_apps.server.authorizations import Authorization
    from smart_apps.server.clients import Client
    from smart_apps.server.codes import AuthorizationCode
    from smart_apps.server.identity import Identity
    from smart_apps.server.options import Options

MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Issuer:
    """Writes token answers.

    Attributes:
        root: Issuer of id_tokens: the public base URL.
        options: Lifetimes, tenant.
        identity: Signs id_tokens.
        audit: Where each token leaves its record.
    """

    root: str
    options: Options
    identity: Identity
    audit: Audit

    def authorization(self, client: Client, code: AuthorizationCode) -> Authorization:
        """Make the authorization that a code stands for."""
        scopes, now = code.scope.split(), clock.now_us()
        offline = scoping.OFFLINE in scopes
        renewed = client.check_grant_type(REFRESH) and (offline or scoping.ONLINE in scopes)
        life = self.options.token_ttl_s if not renewed else self.options.offline_ttl_s if offline else self.options.online_ttl_s
        return authorizations.Authorization(
            client_id=code.client_id,
            subject=code.subject,
            display=code.display,
            session=code.session,
            scope=code.scope,
            context=code.context,
            offline=offline,
            expires=now + life * MICROSECONDS,
            created=now,
        )

    def first(self, tx: Tx, client: Client, given: Authorization, nonce: str) -> dict[str, Any]:
        """Answer the exchange of a code."""
        authorizations.keep(tx, given)
        answer = self._answer(tx, client, given, given.scope, self.options.token_ttl_s)
        if "openid" in given.scopes:
            answer["id_token"] = self.identity.sign(self.claims(given, nonce), client.id_token_alg)
        self.audit.change(tx, of_authorization("token-issued", given, f"scope {given.scope}"))
        return answer

    def next(self, tx: Tx, client: Client, given: Authorization, scope: str) -> dict[str, Any]:
        """Answer a refresh: a narrower scope is the access token's, the next refresh token keeps the whole grant."""
        answer = self._answer(tx, client, given, scope, self.options.token_ttl_s)
        self.audit.change(tx, of_authorization("token-issued", given, f"refreshed, scope {scope}"))
        return answer

    def backend(self, tx: Tx, client: Client, given: Authorization) -> dict[str, Any]:
        """Answer a backend service: short, without context, never refreshed."""
        authorizations.keep(tx, given)
        ttl_s = min(self.options.backend_ttl_s, 300)
        token = authorizations.issue_access(tx, given, given.scope, ttl_s)
        self.audit.change(tx, of_authorization("token-issued", given, f"backend service, scope {given.scope}"))
        return {"access_token": token, "token_type": "Bearer", "expires_in": ttl_s, "scope": given.scope}

    def claims(self, given: Authorization, nonce: str = "") -> dict[str, Any]:
        """Say who signed in, to this client, as far as it was granted."""
        claims = {"iss": self.root, "sub": digest(given.subject.id).hex(), "aud": given.client_id}
        if nonce:
            claims["nonce"] = nonce
        if "fhirUser" in given.scopes and (reference := given.subject.user or given.subject.patient):
            claims["fhirUser"] = f"{self.root}/fhir/{reference}"
        if "profile" in given.scopes and given.display:
            claims["name"] = given.display
        return claims

    def _answer(self, tx: Tx, client: Client, given: Authorization, scope: str, ttl_s: int) -> dict[str, Any]:
        fault = faults.wanted(client, given.context.simulate if client.test else "")
        left_s = max(1, -((clock.now_us() - given.expires) // MICROSECONDS))
        life_s = min(ttl_s, left_s)
        rights = "" if fault == faults.POWERLESS else None
        token = authorizations.issue_access(tx, given, scope, -1 if fault == faults.EXPIRED else life_s, rights=rights)
        answer: dict[str, Any] = {
            "access_token": new_secret() if fault == faults.INVALID else token,
            "token_type": "Bearer",
            "expires_in": life_s,
            "scope": scope,
            **self.context(given),
        }
        renewed = given.offline or scoping.ONLINE in given.scopes
        if renewed and client.check_grant_type(REFRESH):
            answer["refresh_token"] = authorizations.issue_refresh(tx, given)
        return answer

    def context(self, given: Authorization) -> dict[str, Any]:
        """Give the launch context as the token answer and introspection say it."""
        answer = {
            "need_patient_banner": given.context.need_patient_banner,
            "smart_style_url": f"{self.root}{STYLE_PATH}",
            **given.context.parameters(),
        }
        if self.options.tenant:
            answer["tenant"] = self.options.tenant
        return answer
