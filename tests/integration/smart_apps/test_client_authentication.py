"""How a client proves itself at the token endpoint, and every way in which it does not."""

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from chartloop.kernel.clock import FakeClock
from smart_apps.server.assertions import TYPE
from tests.integration.smart_apps.oauth_world import EC, JWKS, KEY_APP, OWN, RSA, SECRET, SERVICE, SYMMETRIC_APP, TOKEN, World, assertion, basic, code_of, world

__all__ = ["world"]

SMART = "SMART 2.2.0"
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa-1"}, private=True)
OTHER_CURVE = ECKey.generate_key("P-384", {"kid": "ec-1"}, private=True)
SMALL_CURVE = ECKey.generate_key("P-256", {"kid": "ec-1"}, private=True)


def ask(world: World, text: str, **form: str | None) -> Any:
    """Ask for a backend token with an assertion."""
    sent = {"client_assertion": text, "client_assertion_type": TYPE, "grant_type": "client_credentials", "scope": "system/Patient.rs", **form}
    return world.browser.post("/oauth/token", data={name: value for name, value in sent.items() if value is not None}, base_url="https://ehr.example")


@pytest.mark.conformance(SMART, "356: symmetric confidential clients are supported")
@pytest.mark.conformance("Attacks", "99: a confidential client needs its proof beside the code and the verifier")
def test_a_symmetric_client_proves_itself_with_its_secret_and_with_nothing_else(world: World) -> None:
    code = code_of(world.launched(SYMMETRIC_APP))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": SYMMETRIC_APP.redirect_uris[0], "code_verifier": "v" * 43}
    for headers, extra, status in [
        ({"Authorization": basic("secret-app", "wrong")}, {}, 401),
        ({"Authorization": basic("unknown", SECRET)}, {}, 401),
        ({"Authorization": basic("secret-app", SECRET)}, {"client_id": "own-app"}, 401),
        ({"Authorization": "Basic !!!"}, {}, 401),
        ({}, {"client_id": "secret-app"}, 400),
        ({}, {"client_id": "secret-app", "client_secret": SECRET}, 400),
        ({"Authorization": basic("own-app", SECRET)}, {}, 401),
    ]:
        answer = world.browser.post("/oauth/token", data={**form, **extra}, headers=headers, base_url="https://ehr.example")
        assert (answer.status_code, answer.get_json()["error"]) == (status, "invalid_client"), (headers, extra)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert world.exchange(code, SYMMETRIC_APP).status_code == 200


def test_two_proofs_at_once_are_refused(world: World) -> None:
    answer = ask(world, assertion("service"), client_secret="x")
    assert answer.get_json()["error"] == "invalid_request"


@pytest.mark.conformance("Attacks", "99: the verifier is wanted of every kind of client")
@pytest.mark.conformance(SMART, "15: plain is not supported, and a verifier is needed of confidential clients too")
@pytest.mark.conformance(SMART, "31: the code verifier must be there and fit")
@pytest.mark.parametrize("client", [OWN, SYMMETRIC_APP, KEY_APP], ids=lambda each: each.kind)
@pytest.mark.parametrize("verifier", [None, "", "w" * 43, "v" * 42])
def test_the_verifier_is_wanted_of_every_kind_of_client(world: World, client: Any, verifier: str | None) -> None:
    answer = world.exchange(code_of(world.launched(client)), client, code_verifier=verifier)
    assert answer.status_code == 400
    assert answer.get_json()["error"] in ("invalid_request", "invalid_grant")


@pytest.mark.conformance(SMART, "310: signatures with RS384 and ES384 are validated")
@pytest.mark.conformance(SMART, "297: keys are registered as a set")
@pytest.mark.conformance(SMART, "335: the assertion is validated as RFC 7523 says, signature included")
@pytest.mark.conformance(SMART, "357: asymmetric confidential clients are supported")
@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS384"), (EC, "ES384")], ids=["RS384", "ES384"])
def test_a_signed_assertion_is_accepted_once(world: World, key: Any, alg: str) -> None:
    text = assertion("service", key, alg)
    assert ask(world, text).status_code == 200
    again = ask(world, text)
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_client")


@pytest.mark.conformance(SMART, "336: a jti is good once")
@pytest.mark.conformance("Attacks", "98: a replayed jti is refused")
def test_the_same_jti_in_another_assertion_is_a_replay(world: World) -> None:
    assert ask(world, assertion("service", jti="one")).status_code == 200
    assert ask(world, assertion("service", EC, "ES384", jti="one")).get_json()["error"] == "invalid_client"
    assert world.token(KEY_APP, client_assertion=assertion("key-app", jti="one"), grant_type="refresh_token", refresh_token="x").get_json()["error"] == "invalid_grant"


def test_a_replay_is_refused_to_the_end_of_the_assertion_and_the_end_after(world: World, fake_clock: FakeClock) -> None:
    text = assertion("service")
    assert ask(world, text).status_code == 200
    for seconds in (100, 139, 2, 60):
        fake_clock.advance(seconds)
        assert ask(world, text).get_json()["error"] == "invalid_client"


@pytest.mark.conformance(SMART, "337: the client is known and is the iss")
@pytest.mark.conformance(SMART, "340: an error of the assertion is invalid_client")
@pytest.mark.conformance("Attacks", "98: wrong aud, expired, too long, not yet, another issuer: refused")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example/oauth/token"}, {"aud": "https://ehr.example/fhir"}, {"aud": [TOKEN, "https://elsewhere.example"]}, {"aud": None},
        {"iss": "unknown"}, {"iss": "key-app"}, {"sub": "key-app"}, {"sub": None}, {"iss": "own-app", "sub": "own-app"},
        {"exp": 1}, {"exp": None}, {"exp": 4_000_000_000}, {"nbf": 4_000_000_000}, {"iat": 4_000_000_000}, {"jti": None}, {"jti": ""}, {"jti": "x" * 600},
    ],
    ids=str,
)  # fmt: skip
def test_an_assertion_with_a_wrong_claim_is_refused(world: World, changes: dict[str, Any]) -> None:
    answer = ask(world, assertion("service", **changes))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize("changes", [{"exp": "soon"}, {"exp": True}, {"jti": 7}, {"iat": "now"}], ids=str)
def test_a_claim_of_another_type_is_refused(world: World, changes: dict[str, Any]) -> None:
    claims = {**json.loads(jws.extract_compact(assertion("service").encode()).payload), **changes}
    text = jws.serialize_compact({"alg": "RS384", "kid": "rsa-1"}, json.dumps(claims), RSA, algorithms=["RS384"])
    assert ask(world, text).get_json()["error"] == "invalid_client"


def unsigned(header: dict[str, Any]) -> str:
    """Write an assertion without a signature."""
    parts = [header, json.loads(jws.extract_compact(assertion("service").encode()).payload)]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.conformance("Attacks", "98: alg none, HMAC under the public key, a foreign key, embedded keys, crit: refused")
@pytest.mark.conformance(SMART, "338: a key is looked up by kid among the registered ones, and a jku must be the registered address")
def test_an_assertion_that_no_registered_key_signed_is_refused(world: World) -> None:
    bare = unsigned({"alg": "HS384", "kid": "rsa-1"}).removesuffix(".")
    tag = hmac.new(RSA.as_pem(private=False), bare.encode(), "sha384").digest()
    confused = f"{bare}.{base64.urlsafe_b64encode(tag).decode().rstrip('=')}"
    embedded = {"jwk": OTHER_CURVE.as_dict(private=False), "x5u": "https://evil.example/cert", "x5c": ["AAAA"]}
    flipped = assertion("service")
    for text in (
        unsigned({"alg": "none", "kid": "rsa-1"}), unsigned({"alg": "RS384", "kid": "rsa-1"}), confused,
        assertion("service", STRANGER), assertion("service", OTHER_CURVE, "ES384", embedded), assertion("service", RSA, "RS256"), assertion("service", RSA, "PS384"),
        assertion("service", SMALL_CURVE, "ES256"), assertion("service", RSA, "RS384", {"kid": "ec-1"}), assertion("service", RSA, "RS384", {"kid": "../../etc/passwd"}),
        assertion("service", RSA, "RS384", {"jku": "https://evil.example/jwks"}), flipped[:-4] + ("AAAA" if flipped[-4:] != "AAAA" else "BBBB"),
        "", "a.b.c", "x" * 20_000, "..", flipped + ".more",
    ):  # fmt: skip
        answer = ask(world, text)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client"), text[:80]


@pytest.mark.conformance("Attacks", "98: an embedded key is ignored where the registered one signed")
def test_an_embedded_key_is_ignored_where_the_registered_one_signed(world: World) -> None:
    assert ask(world, assertion("service", RSA, "RS384", {"jwk": OTHER_CURVE.as_dict(private=False)})).status_code == 200


@pytest.mark.parametrize("form", [{"client_assertion_type": "not_an_assertion_type"}, {"client_assertion_type": None}, {"client_id": "own-app"}])
def test_the_assertion_type_and_a_client_id_beside_it_must_fit(world: World, form: dict[str, str | None]) -> None:
    assert ask(world, assertion("service"), **form).get_json()["error"] == "invalid_client"


def test_a_repeated_parameter_is_an_invalid_request(world: World) -> None:
    answer = world.browser.post("/oauth/token", data={"grant_type": ["client_credentials", "refresh_token"]}, base_url="https://ehr.example")
    assert answer.get_json()["error"] == "invalid_request"


def test_a_refusal_is_audited_without_a_secret(world: World) -> None:
    text = assertion("service", aud="https://elsewhere.example")
    ask(world, text)
    found = [each for each in world.audited() if each["interaction"] == "token-refused"]
    assert found[-1]["outcome"] == "4"
    assert text not in json.dumps(found)
    assert SERVICE.jwks == JWKS
