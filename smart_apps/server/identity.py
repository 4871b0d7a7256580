"""Who is using the app: an id_token signed RS256, and the key set that verifies it.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from chartloop.kernel import clock, keys

if TYPE_CHECKING:
    from pathlib import Path

KEY_BITS = 2048
ID_TOKEN_TTL_S = 300
MICROSECONDS = 1_000_000


def _new_key() -> bytes:
    return RSAKey.generate_key(KEY_BITS, private=True).as_pem(private=True)


class Identity:
    """The signing key of this server; made on first use, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._key = RSAKey.import_key(keys.secret(folder, "openid-rs256.pem", _new_key))

    def jwks(self) -> dict[str, Any]:
        """Give the public half as a JWK set."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self._key.thumbprint(), "use": "sig", "alg": "RS256"}]}

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign the claims of one id_token, with its times added."""
        now = clock.now_us() // MICROSECONDS
        header = {"alg": "RS256", "kid": self._key.thumbprint(), "typ": "JWT"}
        return jwt.encode(header, {**claims, "iat": now, "exp": now + ID_TOKEN_TTL_S}, self._key)


def verify(token: str, jwks: dict[str, Any]) -> dict[str, Any]:
    """Read an id_token under a key set; RS256 and nothing else."""
    return dict(jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["RS256"]).claims)  # type: ignore[arg-type]
