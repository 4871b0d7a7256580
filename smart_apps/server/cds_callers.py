"""EHRs that sign their calls of CDS services: registered by issuer, each with its public keys.

A JWT is for one address, for five minutes at most, good once, and signed by a registered key: RS384 or ES384.
Spec: https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Invalid, Unauthenticated
from smart_apps.server import assertions
from smart_apps.server.assertions import AssertionRefused
from smart_apps.server.key_sets import KeySets, read_key_set

_BEARER: Final = "bearer "
_SPENT: Final = "cds:"
"""In front of an issuer where used JWTs are remembered: a client of the token endpoint may have the same name."""


class CdsCaller(NamedTuple):
    """A registered EHR."""

    issuer: str
    jwks: str
    jwks_uri: str


def registered(said: Mapping[str, str]) -> dict[str, CdsCaller]:
    """Read what the settings say: by issuer, the address of a key set, or the file that holds it.

    Raises:
        Invalid: A file cannot be read or holds no key set, or an address is not https.
    """
    return {issuer: _registered(issuer, place) for issuer, place in said.items()}


def _registered(issuer: str, place: str) -> CdsCaller:
    if place.startswith("https://"):
        return CdsCaller(issuer, "", place)
    try:
        text = Path(place).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Invalid(f"cds.client_keys: the key set of {issuer} is neither an https address nor a file that can be read.") from None
    if not read_key_set(text):
        raise Invalid(f"cds.client_keys: the key set of {issuer} has no key for RS384 or ES384.")
    return CdsCaller(issuer, text, "")


class CdsCallers:
    """Proves who calls a service; threads may share it."""

    def __init__(self, callers: Mapping[str, CdsCaller], keys: KeySets, database: Database) -> None:
        """Take who is registered, where their keys are found, and where used JWTs are remembered."""
        self._callers = callers
        self._keys = keys
        self._database = database

    @property
    def wanted(self) -> bool:
        """Whether calls must be signed: as soon as somebody is registered."""
        return bool(self._callers)

    def prove(self, authorization: str, url: str) -> str:
        """Return the issuer that signed a call of an address.

        Args:
            authorization: The Authorization header.
            url: The address that is called, as the caller must have named it in `aud`.

        Raises:
            Unauthenticated: It proves nothing; why is not said.
        """
        try:
            return self._proven(authorization, url)
        except AssertionRefused:
            raise Unauthenticated("The JWT does not prove who calls: it must be signed by a registered key of its issuer, for this address, and used once.") from None

    def _proven(self, authorization: str, url: str) -> str:
        if not authorization[: len(_BEARER)].lower() == _BEARER:
            raise AssertionRefused("none")
        assertion = assertions.read(authorization[len(_BEARER) :].strip())
        caller = self._callers.get(assertion.client_id)
        if caller is None or assertion.claims.get("iat") is None:
            raise AssertionRefused("iss or iat")
        assertions.require_signed(assertion, caller, self._keys)
        until = max(assertions.in_time(assertion.claims, url), clock.now_us())
        jti = str(assertion.claims["jti"])
        if not self._database.write(lambda tx: assertions.spend(tx, _SPENT + caller.issuer, jti, until)):
            raise AssertionRefused("jti")
        return caller.issuer
