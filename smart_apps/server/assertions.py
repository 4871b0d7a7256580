"""Client assertions (private_key_jwt): RS384 or ES384 under a registered key, for this token endpoint, short, and good once.

What a header says of keys is not believed: `x5u`, `x5c` and `jwk` are ignored, and a `jku` must be the registered address.
Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#authenticating-to-the-token-endpoint
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError

from chartloop.kernel import clock

if TYPE_CHECKING:
    from chartloop.kernel.db import Tx
    from smart_apps.server.clients import Client
    from smart_apps.server.key_sets import Holder, KeySets

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS384", "ES384")
MAX_LIFE_S: Final = 300
SKEW_S: Final = 30
MAX_LENGTH: Final = 8192
MAX_JTI: Final = 512
MICROSECONDS: Final = 1_000_000


class AssertionRefused(Exception):
    """The assertion does not prove who the client is; the reason is for the audit record, not for the caller."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion as it was read; nothing of it is proven yet."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def client_id(self) -> str:
        """Whom it says it is from."""
        return str(self.claims.get("iss", ""))


def read(text: str) -> Assertion:
    """Read an assertion without believing it.

    Raises:
        AssertionRefused: It is no JWT of a permitted algorithm.
    """
    if len(text) > MAX_LENGTH:
        raise AssertionRefused("too long")
    try:
        found = jws.extract_compact(text.encode())
        header, claims = dict(found.headers()), json.loads(found.payload)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise AssertionRefused("no JWT") from None
    if not isinstance(claims, dict) or header.get("alg") not in ALGORITHMS or "crit" in header or not isinstance(header.get("kid"), str):
        raise AssertionRefused("header")
    return Assertion(text, header, claims)


def check(assertion: Assertion, client: Client, audience: str, keys: KeySets) -> int:
    """Prove an assertion.

    Args:
        assertion: As it was read.
        client: Whom it must be from.
        audience: URL of the token endpoint.
        keys: Where the client's keys are.

    Returns:
        When it ends, microseconds since 1970.

    Raises:
        AssertionRefused: Something is wrong with it.
    """
    require_signed(assertion, client, keys)
    if assertion.claims.get("iss") != client.client_id or assertion.claims.get("sub") != client.client_id:
        raise AssertionRefused("iss and sub")
    return in_time(assertion.claims, audience)


def require_signed(assertion: Assertion, holder: Holder, keys: KeySets) -> None:
    """See that a registered key of its holder signed it.

    Raises:
        AssertionRefused: None did, or it names keys at another address than the registered one.
    """
    alg, kid = str(assertion.header["alg"]), str(assertion.header["kid"])
    if "jku" in assertion.header and (not holder.jwks_uri or assertion.header["jku"] != holder.jwks_uri):
        raise AssertionRefused("jku")
    if not any(_signed(assertion, key, alg) for key in keys.find(holder, kid, alg)):
        raise AssertionRefused("signature")


def _signed(assertion: Assertion, key: Any, alg: str) -> bool:
    try:
        jwt.decode(assertion.text, key, algorithms=[alg])
    except (JoseError, ValueError, TypeError):
        return False
    return True


def in_time(claims: dict[str, Any], audience: str) -> int:
    """See that it is meant for this address, now, and can be told from others; return when it ends, in microseconds.

    Raises:
        AssertionRefused: Audience, jti or one of the times is wrong.
    """
    if claims.get("aud") not in (audience, [audience]):
        raise AssertionRefused("aud")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise AssertionRefused("jti")
    now = clock.now_us() / MICROSECONDS
    exp = _time(claims, "exp")
    if exp is None or exp <= now or exp > now + MAX_LIFE_S + SKEW_S:
        raise AssertionRefused("exp")
    if any((said := _time(claims, name)) is not None and said > now + SKEW_S for name in ("nbf", "iat")):
        raise AssertionRefused("nbf or iat")
    return round(exp * MICROSECONDS)


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e12:  # beyond any date, and NaN
        raise AssertionRefused(name)
    return float(value)


def spend(tx: Tx, client_id: str, jti: str, expires: int) -> bool:
    """Remember that an assertion was used; False when it was before."""
    tx.run("delete from smart_assertion where expires < ?", (clock.now_us() - SKEW_S * MICROSECONDS,))
    mark = hashlib.sha256(f"{len(client_id)}:{client_id}{jti}".encode("utf-8", "surrogatepass")).digest()
    return bool(tx.run("insert into smart_assertion (digest, expires) values (?, ?) on conflict (digest) do nothing", (mark, expires)))
