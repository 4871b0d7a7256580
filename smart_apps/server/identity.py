"""The signing keys of this server: made on first use, readable by their owner alone, rotated with an overlap.

A generation of keys is an RSA key (RS256, RS384) and a P-384 key (ES384). The newest generation signs; older ones stay published for a day, so
that what they signed is still verified.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from chartloop.kernel import clock, keys

if TYPE_CHECKING:
    from pathlib import Path

KEY_BITS: Final = 2048
ID_TOKEN_TTL_S: Final = 300
OVERLAP_S: Final = 86_400
MICROSECONDS: Final = 1_000_000
ALGORITHMS: Final = ("RS256", "RS384", "ES384")
_FILE: Final = re.compile(r"openid-(?:rs256|(rsa|p384)-([0-9]{1,15}))\.pem")
FIRST: Final = 0
"""Generation of the key that was made at first use."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Keys that were made together.

    Attributes:
        made: Seconds since 1970; 0 for those of the first use.
        signs: Whether new id_tokens are signed with them.
        published: Whether the key set still holds them.
        kids: Ids of the keys.
    """

    made: int
    signs: bool
    published: bool
    kids: tuple[str, ...]


def _rsa() -> bytes:
    return RSAKey.generate_key(KEY_BITS, private=True).as_pem(private=True)


def _p384() -> bytes:
    return ECKey.generate_key("P-384", private=True).as_pem(private=True)


@lru_cache(maxsize=64)
def _imported(alg: str, pem: bytes) -> RSAKey | ECKey:
    return ECKey.import_key(pem) if alg == "ES384" else RSAKey.import_key(pem)


class Identity:
    """The signing keys in one directory; another process may rotate them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def generations(self) -> list[Generation]:
        """List the keys, newest first."""
        now, made = clock.now_us() // MICROSECONDS, self._made()
        listed = []
        for index, each in enumerate(made):
            published = index == 0 or now < made[index - 1] + OVERLAP_S
            listed.append(Generation(each, index == 0, published, tuple(self._kid(alg, each) for alg in ALGORITHMS)))
        return listed

    def jwks(self) -> dict[str, Any]:
        """Give the public halves as a JWK set."""
        shown = [each for each in self.generations() if each.published]
        return {"keys": [self._public(alg, each.made) for each in shown for alg in ALGORITHMS]}

    def sign(self, claims: dict[str, Any], alg: str = "RS256") -> str:
        """Sign the claims of one id_token, with its times added."""
        now, made = clock.now_us() // MICROSECONDS, self._made()[0]
        header = {"alg": alg, "kid": self._kid(alg, made), "typ": "JWT"}
        return jwt.encode(header, {**claims, "iat": now, "exp": now + ID_TOKEN_TTL_S}, self._key(alg, made), algorithms=[alg])

    def rotate(self) -> Generation:
        """Make new keys, which sign from now on."""
        made = max(clock.now_us() // MICROSECONDS, self._made()[0] + 1)
        for alg in ("RS256", "ES384"):
            self._key(alg, made)
        return self.generations()[0]

    def _made(self) -> list[int]:
        names = [found for path in self._folder.glob("openid-*.pem") if (found := _FILE.fullmatch(path.name))]
        return sorted({int(name[2] or FIRST) for name in names} | {FIRST}, reverse=True) if names else [FIRST]

    def _key(self, alg: str, made: int) -> RSAKey | ECKey:
        if alg == "ES384":
            return _imported(alg, keys.secret(self._folder, f"openid-p384-{made}.pem", _p384))
        name = f"openid-rsa-{made}.pem" if made else "openid-rs256.pem"
        return _imported("RS256", keys.secret(self._folder, name, _rsa))

    def _kid(self, alg: str, made: int) -> str:
        thumbprint = self._key(alg, made).thumbprint()
        return f"{thumbprint}-rs384" if alg == "RS384" else thumbprint

    def _public(self, alg: str, made: int) -> dict[str, Any]:
        public = self._key(alg, made).as_dict(private=False)
        return {**public, "kid": self._kid(alg, made), "use": "sig", "alg": alg}


def verify(token: str, jwks: dict[str, Any]) -> dict[str, Any]:
    """Read an id_token under a key set; RS256 and nothing else."""
    return dict(jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["RS256"]).claims)  # type: ignore[arg-type]
