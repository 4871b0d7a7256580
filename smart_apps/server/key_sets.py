"""Public keys of asymmetric clients: registered as a set, or fetched from the registered address and kept as long as it allows.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from chartloop.kernel import clock
from chartloop.kernel.egress import Fetched
from chartloop.kernel.errors import ChartloopError, Invalid

Key = RSAKey | ECKey
Fetch = Callable[[str], Fetched]


class Holder(Protocol):
    """Whoever registered public keys: as a JWK set, or by the address of one; the other is ""."""

    @property
    def jwks(self) -> str:
        """The set, as JSON."""
        ...

    @property
    def jwks_uri(self) -> str:
        """Where it is."""
        ...


DEFAULT_AGE_S: Final = 300
MAX_AGE_S: Final = 3600
AGAIN_AFTER_S: Final = 30
"""A key that is not known lets the set be fetched again, but not more often than this."""
MIN_RSA_BITS: Final = 2048
MAX_KEYS: Final = 50
MICROSECONDS: Final = 1_000_000
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})")
_KEEP_NOT: Final = re.compile(r"(?:^|[\s,])no-(?:store|cache)")


def read_key_set(text: str | bytes) -> list[dict[str, Any]]:
    """Read a JWK set and keep the keys that can verify RS384 or ES384.

    Raises:
        Invalid: It is no JWK set, or holds a private or symmetric key.
    """
    try:
        keys = json.loads(text)["keys"]
        listed = [dict(key) for key in keys]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Invalid("This is no JWK set: an object with a list of keys is expected.") from None
    if len(listed) > MAX_KEYS or any(_PRIVATE & key.keys() or key.get("kty") == "oct" for key in listed):
        raise Invalid(f"A JWK set holds at most {MAX_KEYS} keys, and public ones alone.")
    return [key for key in listed if isinstance(key.get("kid"), str) and key.get("use", "sig") == "sig" and (_fits(key, "RS384") or _fits(key, "ES384"))]


def _fits(key: dict[str, Any], alg: str) -> bool:
    shape = (key.get("kty"), key.get("crv")) == ("EC", "P-384") if alg == "ES384" else key.get("kty") == "RSA"
    return shape and key.get("alg", alg) == alg


def _imported(key: dict[str, Any]) -> Key | None:
    try:
        if key["kty"] == "EC":
            return ECKey.import_key(key)
        found = RSAKey.import_key(key)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return found if found.public_key.key_size >= MIN_RSA_BITS else None


class KeySets:
    """Finds the keys of a client; threads may share it."""

    def __init__(self, fetch: Fetch) -> None:
        """Take what fetches a registered address."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, int, list[dict[str, Any]]]] = {}

    def find(self, client: Holder, kid: str, alg: str) -> list[Key]:
        """Give the keys of a client with this id that fit the algorithm; none when its address does not answer."""
        keys = [key for key in self._of(client, kid) if key["kid"] == kid and _fits(key, alg)]
        return [found for key in keys if (found := _imported(key)) is not None]

    def _of(self, client: Holder, kid: str) -> list[dict[str, Any]]:
        if client.jwks:
            return read_key_set(client.jwks)
        if not client.jwks_uri:
            return []
        now = clock.now_us()
        with self._lock:
            fetched, until, keys = self._kept.get(client.jwks_uri, (0, 0, []))
        known = any(key["kid"] == kid for key in keys)
        if now < until and (known or now < fetched + AGAIN_AFTER_S * MICROSECONDS):
            return keys
        return self._fetched(client.jwks_uri, now)

    def _fetched(self, url: str, now: int) -> list[dict[str, Any]]:
        try:
            answer = self._fetch(url)
            keys = read_key_set(answer.body)
            age = lifetime_s(answer.headers.get("cache-control", ""))
        except ChartloopError:
            keys, age = [], AGAIN_AFTER_S  # an address that is silent is not asked with every request
        with self._lock:
            self._kept[url] = (now, now + age * MICROSECONDS, keys)
        return keys


def lifetime_s(cache_control: str) -> int:
    """Say how long an answer may be kept, from its Cache-Control header."""
    said = cache_control.lower()
    if _KEEP_NOT.search(said):
        return 0
    found = _MAX_AGE.search(said)
    return min(int(found[1]), MAX_AGE_S) if found else DEFAULT_AGE_S
