"""An external OpenID provider: what it says about itself, its keys, the code that becomes an id_token, and whether that holds.

Spec: https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from chartloop.kernel import clock
from chartloop.kernel.egress import Fetched, Sent
from chartloop.kernel.errors import Unauthenticated, Unavailable
from chartloop.kernel.settings_sections import OidcSettings

Fetch = Callable[[str, Sent | None], Fetched]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES384", "EdDSA")
"""Asymmetric ones alone: `none` and what a shared secret signs are refused."""
SKEW_S = 60
KEPT_S = 3600
AGAIN_AFTER_S = 30
MICROSECONDS = 1_000_000
MAX_TOKEN = 16_384
REFUSED = "The provider's answer could not be accepted. Try again, or ask your administrator."


@dataclass(frozen=True, slots=True)
class Asked:
    """What one login asked of the provider.

    Attributes:
        state: Comes back with the browser.
        nonce: Comes back in the id_token.
        verifier: PKCE: only who asked can spend the code.
    """

    state: str
    nonce: str
    verifier: str


class Provider:
    """One provider; threads may share it."""

    def __init__(self, settings: OidcSettings, fetch: Fetch, redirect_uri: str) -> None:
        """Take who it is, what calls it, and where browsers come back."""
        self.settings = settings
        self._fetch = fetch
        self._redirect_uri = redirect_uri
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, Mapping[str, Any]]] = {}

    def address(self, asked: Asked, challenge: str) -> str:
        """Give the address to send a browser to.

        Raises:
            Unavailable: The provider does not answer, or not as one.
        """
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid profile email" if self.settings.claim else "openid",
            "state": asked.state,
            "nonce": asked.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def identity(self, code: str, issuer: str, asked: Asked) -> Mapping[str, Any]:
        """Swap a code for the claims of a person.

        Args:
            code: What the browser brought.
            issuer: The `iss` it brought along (RFC 9207); empty when it brought none.
            asked: What this login asked for.

        Raises:
            Unauthenticated: Something does not hold.
            Unavailable: The provider does not answer.
        """
        says_issuer = bool(self._metadata().get("authorization_response_iss_parameter_supported"))
        if (issuer and issuer != self.settings.issuer) or (says_issuer and not issuer):
            raise Unauthenticated(REFUSED)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri, "code_verifier": asked.verifier}
        answer = self._fetch(self._endpoint("token_endpoint"), self._sent(form))
        token = _json(answer.body).get("id_token")
        if not isinstance(token, str) or len(token) > MAX_TOKEN:
            raise Unauthenticated(REFUSED)
        return self.verified(token, asked.nonce)

    def verified(self, token: str, nonce: str) -> Mapping[str, Any]:
        """Give the claims of an id_token that is this provider's, for us, for this login and in time.

        Raises:
            Unauthenticated: It is not.
        """
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
            claims = jwt.decode(token, self._keys(kid), algorithms=list(ALGORITHMS)).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unauthenticated(REFUSED) from error
        now = clock.now_us() // MICROSECONDS
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
        expires, issued, sub = claims.get("exp"), claims.get("iat"), claims.get("sub")
        holds = (
            claims.get("iss") == self.settings.issuer
            and self.settings.client_id in audiences
            and (claims.get("azp") == self.settings.client_id if len(audiences) > 1 or "azp" in claims else True)
            and _number(expires) > now - SKEW_S
            and 0 < _number(issued) < now + SKEW_S
            and _number(claims.get("nbf", 0)) < now + SKEW_S
            and claims.get("nonce") == nonce
            and isinstance(sub, str)
            and 0 < len(sub) <= 255
            and sub.isprintable()
        )
        if not holds:
            raise Unauthenticated(REFUSED)
        return dict(claims)

    def _sent(self, form: Mapping[str, str]) -> Sent:
        """Authenticate as a client: by basic where the provider takes it, in the form where it only takes that, or as a public one."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        secret, id_ = self.settings.client_secret.get_secret_value(), self.settings.client_id
        said = self._metadata().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and "client_secret_basic" in said:
            pair = f"{quote(id_, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            return Sent(urlencode(form).encode(), headers)
        named = {**form, "client_id": id_, **({"client_secret": secret} if secret else {})}
        return Sent(urlencode(named).encode(), headers)

    def _keys(self, kid: object) -> KeySet:
        """Give the provider's keys; one that is not known lets them be fetched again, for keys rotate, but not all the time."""
        url = self._endpoint("jwks_uri")
        found = _listed(self._document(url, KEPT_S))
        if not any(key.get("kid") == kid for key in found):
            found = _listed(self._document(url, AGAIN_AFTER_S))
        public = [key for key in found if key.get("kty") != "oct" and key.get("use", "sig") == "sig"]
        named = [key for key in public if key.get("kid") == kid] if kid is not None else public if len(public) == 1 else []
        if not named:
            raise Unauthenticated(REFUSED)
        return KeySet.import_key_set({"keys": named})

    def _metadata(self) -> Mapping[str, Any]:
        found = self._document(f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration", KEPT_S)
        if found.get("issuer") != self.settings.issuer:
            raise Unavailable("The provider says that it is another one than auth.oidc.issuer names.")
        return found

    def _endpoint(self, name: str) -> str:
        found = self._metadata().get(name)
        if not isinstance(found, str) or not found.startswith(("https://", "http://")):
            raise Unavailable("The provider does not say where it is asked.")
        return found

    def _document(self, url: str, kept_s: int) -> Mapping[str, Any]:
        now = clock.now_us()
        with self._lock:
            fetched, known = self._kept.get(url, (0, {}))
        if known and fetched > now - kept_s * MICROSECONDS:
            return known
        found = _json(self._fetch(url, None).body)
        with self._lock:
            self._kept[url] = (now, found)
        return found


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unavailable("The provider's answer is no JSON.") from error
    return found if isinstance(found, dict) else {}


def _listed(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = found.get("keys")
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else -1.0
