"""Calls that an EHR signs: proven under its registered key, for this address, now, once; asked for as soon as somebody is registered."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha384
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from chartloop.kernel import clock
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.egress import Fetched
from chartloop.kernel.errors import Invalid, Unavailable
from smart_apps import tables as smart_tables  # noqa: F401  (declares where used JWTs are remembered)
from smart_apps.server.cds_callers import CdsCaller, CdsCallers, registered
from smart_apps.server.key_sets import KeySets
from tests.integration.cds_hooks.conftest import World
from tests.integration.cds_hooks.test_service import PATIENTS, with_token
from tests.unit.cds_hooks.samples import RISK, ROOT, call

ISSUER, OTHER, FETCHED = "https://ehr.example/fhir", "https://other.example", "https://keys.example"
EC = ECKey.generate_key("P-384", {"kid": "ec"}, private=True)
RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
STRANGER = ECKey.generate_key("P-384", {"kid": "ec"}, private=True)
SHORT = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
JWKS = json.dumps({"keys": [EC.as_dict(private=False), RSA.as_dict(private=False)]})
URL = f"{ROOT}/cds-services/stroke-risk"
KEYS_AT = "https://keys.example/jwks"


@dataclass
class Signing:
    """A server at which two EHRs are registered by a set, and one by an address."""

    world: World
    fetched: list[str]

    def ask(self, token: str = "", **changes: Any) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.world.open("POST", "/cds-services/stroke-risk", call(**changes), **headers).status_code


@pytest.fixture
def signing(world: World) -> Signing:
    fetched: list[str] = []

    def fetch(url: str) -> Fetched:
        fetched.append(url)
        if url != KEYS_AT:
            raise Unavailable
        return Fetched({}, JWKS.encode())

    known = {ISSUER: CdsCaller(ISSUER, JWKS, ""), OTHER: CdsCaller(OTHER, json.dumps({"keys": [STRANGER.as_dict(private=False)]}), ""), FETCHED: CdsCaller(FETCHED, "", KEYS_AT)}
    callers = CdsCallers(known, KeySets(fetch), world.database)
    return Signing(World(world.database, world.repository, world.audit, world.data, callers=callers), fetched)


def claims(**changes: Any) -> dict[str, Any]:
    now = clock.now_us() // 1_000_000
    said = {"iss": ISSUER, "aud": URL, "iat": now, "exp": now + 300, "jti": "one", **changes}
    return {name: value for name, value in said.items() if value is not None}


def signed(said: dict[str, Any], key: Any = EC, **header: Any) -> str:
    top = {"alg": "RS384" if isinstance(key, RSAKey) else "ES384", "kid": key.kid, "typ": "JWT", **header}
    return jws.serialize_compact({name: value for name, value in top.items() if value is not None}, json.dumps(said).encode(), key, algorithms=["ES384", "RS384", "ES256"])


def unsigned(header: dict[str, Any], said: dict[str, Any], signature: bytes = b"") -> str:
    parts = [_encoded(json.dumps(part).encode()) for part in (header, said)]
    return ".".join([*parts, _encoded(signature)])


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _with_hmac() -> str:
    first = unsigned({"alg": "HS384", "kid": "ec"}, claims()).rpartition(".")[0]
    return f"{first}.{_encoded(hmac.new(JWKS.encode(), first.encode(), sha384).digest())}"


@pytest.mark.conformance("CDS Hooks 2.0", "@176, @199: an EHR proves who it is by a JWT under keys that were registered beforehand, ES384 or RS384")
def test_a_signed_call_is_answered_once(signing: Signing, fake_clock: FakeClock) -> None:
    for number, key in enumerate((EC, RSA)):
        token = signed(claims(jti=f"j{number}"), key)
        assert [signing.ask(token), signing.ask(token)] == [200, 401]
    fake_clock.advance(200)
    assert signing.ask(signed(claims(jti="j0"))) == 401, "the same jti in another JWT"
    assert signing.ask(signed(claims(jti="j0", iss=OTHER), STRANGER)) == 200, "of another issuer it is another"
    assert signing.ask(signed(claims(jti="later", aud=[URL]))) == 200


WRONG = {
    "none": lambda: unsigned({"alg": "none", "kid": "ec"}, claims()),
    "none in capitals": lambda: unsigned({"alg": "NONE", "kid": "ec"}, claims()),
    "without an algorithm": lambda: unsigned({"kid": "ec"}, claims()),
    "symmetric, under the public key": _with_hmac,
    "another key of the same name": lambda: signed(claims(), STRANGER),
    "another curve": lambda: signed(claims(), SHORT, alg="ES256"),
    "an issuer nobody registered": lambda: signed(claims(iss="https://evil.example")),
    "the issuer of another key": lambda: signed(claims(iss=OTHER)),
    "no issuer": lambda: signed(claims(iss=None)),
    "an issuer that is a list": lambda: signed(claims(iss=[ISSUER])),
    "another service": lambda: signed(claims(aud=f"{ROOT}/cds-services/other")),
    "another server": lambda: signed(claims(aud="https://elsewhere.example/cds-services/stroke-risk")),
    "the server alone": lambda: signed(claims(aud=ROOT)),
    "several audiences": lambda: signed(claims(aud=[URL, "https://elsewhere.example"])),
    "no audience": lambda: signed(claims(aud=None)),
    "over": lambda: signed(claims(exp=clock.now_us() // 1_000_000 - 1)),
    "too long": lambda: signed(claims(exp=clock.now_us() // 1_000_000 + 3600)),
    "without an end": lambda: signed(claims(exp=None)),
    "not yet": lambda: signed(claims(iat=clock.now_us() // 1_000_000 + 120)),
    "without a beginning": lambda: signed(claims(iat=None)),
    "without a number": lambda: signed(claims(jti=None)),
    "its own key inside": lambda: signed(claims(), STRANGER, jwk=STRANGER.as_dict(private=False)),
    "keys at its own address": lambda: signed(claims(), STRANGER, jku="https://evil.example/jwks"),
    "an address where a set was registered": lambda: signed(claims(), EC, jku=KEYS_AT),
    "a certificate inside": lambda: signed(claims(), STRANGER, x5c=["MIIB"]),
    "an extension that it must understand": lambda: unsigned({"alg": "ES384", "kid": "ec", "crit": ["x"], "x": 1}, claims(), b"x" * 96),
    "a kid that is a path": lambda: signed(claims(), STRANGER, kid="../../etc/passwd"),
    "a kid that is SQL": lambda: signed(claims(), STRANGER, kid="ec' OR '1'='1"),
    "no kid": lambda: unsigned({"alg": "ES384"}, claims(), b"x" * 96),
    "too large": lambda: signed(claims(more="x" * 10_000)),
    "no JWT": lambda: "a.b.c",
    "words": lambda: "letmein",
}  # fmt: skip


@pytest.mark.conformance("CDS Hooks 2.0", "@176, @201, @203: a JWT that is unsigned, symmetric, of another issuer, key, address or time is refused with 401, and so is a call without one")
@pytest.mark.conformance("Attacks", "98: a JWT of a CDS client: none, HMAC under a public key, keys inside, jku, crit, kid, wrong iss, aud and times are refused")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_jwt_is_refused(signing: Signing, wrong: str) -> None:
    signing.world.put(*PATIENTS, RISK)
    assert signing.ask(WRONG[wrong]()) == 401
    assert signing.fetched == []
    assert signing.ask(WRONG[wrong](), **with_token(signing.world.token())) == 401, "a wrong JWT is not made good by a token"


def test_without_a_jwt_a_call_needs_a_token_of_this_server(signing: Signing) -> None:
    signing.world.put(*PATIENTS, RISK)
    assert signing.ask() == 401
    refused = signing.world.open("POST", "/cds-services/stroke-risk", call())
    assert (refused.headers["WWW-Authenticate"], refused.get_json()["error"]) == ("Bearer", "unauthenticated")
    assert signing.ask(**with_token("unknown")) == 401
    assert signing.ask(**with_token(signing.world.token())) == 200
    assert signing.world.open("GET", "/cds-services").status_code == 200


@pytest.mark.conformance("CDS Hooks 2.0", "@199: keys are fetched from the address that was registered for the issuer, and from no other")
def test_keys_come_from_the_registered_address_alone(signing: Signing) -> None:
    assert signing.ask(signed(claims(iss=FETCHED, jti="a"), jku=KEYS_AT)) == 200
    assert signing.ask(signed(claims(iss=FETCHED, jti="b"))) == 200
    assert signing.ask(signed(claims(iss=FETCHED, jti="c"), jku="http://169.254.169.254/jwks")) == 401
    assert signing.fetched == [KEYS_AT]


def test_what_the_settings_name_is_read_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ehr.json").write_text(JWKS)
    assert registered({ISSUER: str(tmp_path / "ehr.json"), FETCHED: KEYS_AT}) == {ISSUER: CdsCaller(ISSUER, JWKS, ""), FETCHED: CdsCaller(FETCHED, "", KEYS_AT)}
    (tmp_path / "none.json").write_text('{"keys": []}')
    for place, why in ((str(tmp_path / "absent.json"), "neither an https address nor a file"), ("http://keys.example/jwks", "neither an https address nor a file"), (str(tmp_path / "none.json"), "has no key")):
        with pytest.raises(Invalid, match=why):
            registered({ISSUER: place})
