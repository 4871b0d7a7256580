"""The authorization endpoint under attack: addresses that almost fit, mixed parameters, launches of others; and simulated errors."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.errors import Invalid
from smart_apps.server import clients
from smart_apps.server.clients import Client
from smart_apps.server.faults import FAULTS
from smart_apps.server.launches import LaunchContext
from smart_apps.server.registry import check_client
from tests.integration.smart_apps.oauth_world import CALLBACK, JWKS, OWN, PUBLIC, ROOT, SERVICE, SYMMETRIC_APP, TESTER, World, back, code_of, world

__all__ = ["world"]

SMART = "SMART 2.2.0"

TRICKS = [
    f"{CALLBACK}/", f"{CALLBACK}?x=1", f"{CALLBACK}#x", f"{CALLBACK}%2f..", f"{CALLBACK}/../evil", f"{CALLBACK}.evil.example", CALLBACK.upper(), CALLBACK[:-1],
    "https://app.example.evil.example/callback", "https://app.example@evil.example/callback", "https://user@app.example/callback", "http://app.example/callback",
    "https://app.example:443/callback", "https://app.example\\@evil.example/callback", "//app.example/callback", "https:app.example/callback", "https://127.0.0.1/callback",
    "https://localhost/callback", "javascript:alert(1)", "data:text/html,x", f" {CALLBACK}", f"{CALLBACK} ", f"{CALLBACK}\n", f"{CALLBACK}\x00", "https://evil.example/?https://app.example/callback", "",
]  # fmt: skip


@pytest.mark.conformance("Attacks", "99: redirect_uri with suffix, userinfo, fragment, other scheme or host: never a redirect")
@pytest.mark.conformance(SMART, "18: complete addresses of apps are registered")
@pytest.mark.parametrize("uri", TRICKS)
def test_no_browser_is_sent_to_an_address_that_is_not_registered_to_the_character(world: World, uri: str) -> None:
    world.sign_in()
    answer = world.authorize(OWN, redirect_uri=uri)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
    assert "Location" not in answer.headers


def test_a_repeated_parameter_is_refused(world: World) -> None:
    world.sign_in()
    for name, values in (("redirect_uri", [CALLBACK, "https://evil.example"]), ("client_id", ["own-app", "public-app"]), ("state", ["a", "b"]), ("aud", [f"{ROOT}/fhir", "x"])):
        query = {"response_type": "code", "client_id": "own-app", "redirect_uri": CALLBACK, "scope": "user/*.rs", "state": "s", "aud": f"{ROOT}/fhir", "code_challenge": "c" * 43, "code_challenge_method": "S256", name: values}
        answer = world.browser.get("/oauth/authorize", query_string=query, base_url=ROOT)
        said = parse_qs(urlsplit(answer.headers["Location"]).query) if "Location" in answer.headers else {"error": [answer.get_json()["error"]]}
        assert said["error"] == ["invalid_request"]
        assert "evil" not in answer.headers.get("Location", "")


@pytest.mark.conformance("Attacks", "99: iss is said with every answer, so that a mix-up is noticed")
@pytest.mark.conformance(SMART, "57: the redirect carries the code")
@pytest.mark.conformance(SMART, "59: the redirect carries the state as it was sent")
def test_every_answer_of_the_endpoint_names_its_issuer_and_the_state(world: World) -> None:
    found = back(world.launched(OWN, state="a b/+?&=%"))
    assert (found["iss"], found["state"]) == (ROOT, "a b/+?&=%")
    assert found["code"]
    refused = back(world.launched(OWN, aud="https://elsewhere.example", state="ü"))
    assert (refused["iss"], refused["state"], refused["error"]) == (ROOT, "ü", "invalid_request")


@pytest.mark.conformance(SMART, "96: aud is the FHIR endpoint of this server")
@pytest.mark.parametrize("aud", [None, "", "https://elsewhere.example/fhir", ROOT, f"{ROOT}/fhir/evil", f"{ROOT}.evil.example/fhir", f"{ROOT}/fhir?x"])
def test_another_audience_gives_no_code(world: World, aud: str | None) -> None:
    found = back(world.launched(OWN, aud=aud))
    assert found["error"] == "invalid_request"
    assert "code" not in found


@pytest.mark.conformance("Attacks", "99: a launch token is good once, for its own client, session and patient")
def test_a_launch_of_another_client_or_person_opens_nothing(world: World, fake_clock: FakeClock) -> None:
    session = world.side.sessions.find(world.sign_in())
    assert session is not None
    launch = world.side.server.launch(session, PUBLIC.client_id, LaunchContext("anna"))
    assert back(world.authorize(OWN, launch=launch, scope="launch patient/*.rs"))["error"] == "invalid_request"
    own = world.side.server.launch(session, OWN.client_id, LaunchContext("anna"))
    assert back(world.authorize(OWN, launch=own, scope="patient/*.rs"))["error"] == "invalid_scope"
    fake_clock.advance(301)
    assert back(world.authorize(OWN, launch=own, scope="launch patient/*.rs"))["error"] == "invalid_request"


@pytest.mark.parametrize("name", ["response_type", "client_id", "state", "nonce", "scope", "launch", "aud"])
@pytest.mark.parametrize("value", ['"', "\\", "é\x00", "\x00", "\r\nSet-Cookie: a=b"])
def test_characters_that_no_parameter_may_hold_break_nothing(world: World, name: str, value: str) -> None:
    world.sign_in()
    answer = world.authorize(OWN, **{name: value})
    assert answer.status_code in (302, 303, 400)
    assert "Set-Cookie" not in answer.headers
    assert world.token(OWN, grant_type=value, code=value).status_code == 400


def test_the_code_flow_gives_no_rights_of_systems_and_is_not_for_services(world: World) -> None:
    world.sign_in()
    assert back(world.authorize(OWN, scope="system/*.rs"))["error"] == "invalid_scope"
    assert world.authorize(SERVICE).status_code == 400


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_test_client_meets_the_error_it_asks_for(world: World, fault: str) -> None:
    answer = world.launched(TESTER, simulate=fault)
    if fault.startswith("authorize-"):
        assert back(answer)["error"] == fault.removeprefix("authorize-").replace("-", "_")
        return
    token = world.exchange(code_of(answer), TESTER)
    if fault.startswith("token-"):
        assert token.get_json()["error"] == fault.removeprefix("token-").replace("-", "_")
        assert token.status_code == (503 if fault == "token-server-error" else 400)
        return
    found = token.get_json()
    status = {"expired-token": 401, "invalid-token": 401, "wrong-scope": 403}.get(fault, 200)
    assert world.fhir("Patient/anna", found["access_token"]).status_code == status
    refreshed = world.refresh(found["refresh_token"], TESTER)
    assert refreshed.status_code == (400 if fault == "refresh-invalid-grant" else 200)


def test_no_other_client_may_ask_for_an_error_and_no_other_error_exists(world: World) -> None:
    assert back(world.launched(OWN, simulate="expired-token"))["error"] == "invalid_request"
    assert back(world.launched(TESTER, simulate="nonsense"))["error"] == "invalid_request"
    world.database.write(lambda tx: clients.register(tx, replace(OWN, client_id="sly", simulate="expired-token")))
    token = world.granted(replace(OWN, client_id="sly"))
    assert world.fhir("Patient/anna", token["access_token"]).status_code == 200


BARE = Client("app", "App", ("https://app.example/cb",), "", "openid")
WRONG = [
    replace(BARE, redirect_uris=("http://app.example/cb",)), replace(BARE, redirect_uris=("https://app.example/cb#x",)), replace(BARE, redirect_uris=("https://*.example/cb",)),
    replace(BARE, redirect_uris=("https://a@app.example/cb",)), replace(BARE, redirect_uris=("javascript:alert(1)",)), replace(BARE, redirect_uris=("data:x",)), replace(BARE, redirect_uris=()),
    replace(BARE, redirect_uris=("https:///cb",)), replace(BARE, redirect_uris=("app:cb",)), replace(BARE, origins=("https://app.example/x",)), replace(BARE, origins=("null",)), replace(BARE, origins=("*",)),
    replace(BARE, kind="symmetric"), replace(BARE, secret="x"), replace(BARE, kind="asymmetric"), replace(BARE, jwks=JWKS), replace(BARE, kind="asymmetric", jwks='{"keys": []}'),
    replace(BARE, kind="asymmetric", jwks=JWKS, jwks_uri="https://app.example/jwks"), replace(BARE, kind="asymmetric", jwks_uri="file:///etc/passwd"),
    replace(BARE, grants=("client_credentials",)), replace(BARE, grants=("password",)), replace(BARE, role="clinician"), replace(BARE, simulate="expired-token"), replace(BARE, test=True, simulate="x"),
    replace(BARE, scope="everything"), replace(BARE, id_token_alg="none"), replace(BARE, client_id=""), replace(BARE, client_id="a:b"), replace(BARE, name=" "),
    replace(BARE, kind="asymmetric", jwks='{"keys": [{"kty": "oct", "k": "AAAA", "kid": "1"}]}'), replace(BARE, kind="asymmetric", jwks='{"keys": [{"kty": "RSA", "d": "x", "kid": "1"}]}'),
]  # fmt: skip


@pytest.mark.parametrize("client", WRONG, ids=range(len(WRONG)))
def test_a_registration_that_could_be_abused_is_refused(client: Client) -> None:
    with pytest.raises(Invalid):
        check_client(client)


@pytest.mark.parametrize("uri", ["https://app.example/cb", "http://127.0.0.1:8501/cb", "http://[::1]/cb", "http://localhost/cb", "com.example.app:/cb", "https://app.example/cb?tenant=1"])
def test_addresses_of_browsers_and_of_native_apps_can_be_registered(uri: str) -> None:
    assert check_client(replace(BARE, redirect_uris=(uri,))).redirect_uris == (uri,)


def test_a_symmetric_secret_is_kept_as_its_digest(world: World) -> None:
    with world.database.read() as db:
        kept = db.one("select secret from smart_client where client_id = ?", (SYMMETRIC_APP.client_id,))
    assert kept == (SYMMETRIC_APP.secret,)
    assert len(SYMMETRIC_APP.secret) == 64
