"""Registration: by apps themselves where a site allows it, keys by address, brands of one's own; and the server on PostgreSQL."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel import egress
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, open_database
from chartloop.kernel.egress import EgressForbidden, Fetched
from chartloop.kernel.errors import Invalid, Unavailable
from smart_apps.server import clients
from smart_apps.server.brands import own_bundle
from smart_apps.server.clients import Client
from smart_apps.server.key_sets import KeySets, lifetime_s
from tests.integration.smart_apps.oauth_world import EC, JWKS, KEY_APP, OWN, ROOT, RSA, SECRET, World, basic, code_of, make_world, world

__all__ = ["world"]

SMART = "SMART 2.2.0"
TOKEN_68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Keys(BaseHTTPRequestHandler):
    """Serves a key set as a client would."""

    answer = (200, {"Cache-Control": "max-age=60"}, JWKS.encode())
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        """Answer what is set."""
        type(self).asked.append(self.path)
        status, headers, body = type(self).answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def key_server() -> Iterator[str]:
    """Address of a key set."""
    server = HTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.conformance(SMART, "296: keys are registered by address")
@pytest.mark.conformance(SMART, "339: the address is asked by GET")
def test_a_client_proves_itself_under_the_keys_at_its_address(world: World, key_server: str) -> None:
    client = replace(KEY_APP, client_id="by-address", jwks="", jwks_uri=key_server)
    world.database.write(lambda tx: clients.register(tx, client))
    assert world.granted(client)["access_token"]


@pytest.mark.conformance(SMART, "341: a key set is kept no longer than its Cache-Control says")
@pytest.mark.conformance(SMART, "342: a key set is kept as its Cache-Control says")
def test_a_key_set_is_kept_as_long_as_it_allows_and_asked_again_for_a_key_that_is_new(fake_clock: FakeClock) -> None:
    asked: list[str] = []
    served = {"keys": [RSA.as_dict(private=False)]}

    def fetch(url: str) -> Fetched:
        asked.append(url)
        return Fetched({"cache-control": "public, max-age=120"}, json.dumps(served).encode())

    sets, client = KeySets(fetch), replace(KEY_APP, jwks="", jwks_uri="https://app.example/jwks")
    for _ in range(3):
        assert len(sets.find(client, "rsa-1", "RS384")) == 1
    assert len(asked) == 1
    served["keys"].append(EC.as_dict(private=False))
    assert sets.find(client, "ec-1", "ES384") == []
    fake_clock.advance(31)
    assert len(sets.find(client, "ec-1", "ES384")) == 1
    served["keys"].clear()
    fake_clock.advance(119)
    assert len(sets.find(client, "rsa-1", "RS384")) == 1
    fake_clock.advance(2)
    assert sets.find(client, "rsa-1", "RS384") == []
    assert [lifetime_s(each) for each in ("", "no-store", "max-age=60", "max-age=999999", "private, no-cache", "max-age=x", "s-maxage=9, max-age=7")] == [300, 0, 60, 3600, 0, 300, 7]


def test_an_address_that_does_not_answer_is_asked_again_after_a_while_only(fake_clock: FakeClock) -> None:
    asked: list[str] = []

    def fetch(url: str) -> Fetched:
        asked.append(url)
        raise Unavailable

    sets, client = KeySets(fetch), replace(KEY_APP, jwks="", jwks_uri="https://app.example/jwks")
    for _ in range(5):
        assert sets.find(client, "rsa-1", "RS384") == []
    assert len(asked) == 1
    fake_clock.advance(31)
    assert sets.find(client, "rsa-1", "RS384") == []
    assert len(asked) == 2


@pytest.mark.conformance("Attacks", "96: a jwks_uri leads into no private network, follows no redirect, and is bounded")
@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/jwks", "https://127.0.0.1/jwks", "https://localhost/jwks", "https://[::1]/jwks", "https://[::ffff:127.0.0.1]/jwks", "https://10.0.0.1/", "https://169.254.169.254/latest",
        "https://192.168.1.1/", "https://2130706433/", "https://0x7f.1/", "https://0/", "https://user@8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/", "https:///jwks", "https://[2002:7f00:1::]/",
    ],
)  # fmt: skip
def test_no_private_address_is_fetched(url: str) -> None:
    with pytest.raises((EgressForbidden, Unavailable)):
        egress.fetch(url, allow_private=False, timeout_s=1.0)


@pytest.mark.conformance("Attacks", "96: a redirect an error and a flood are no answer")
def test_a_redirect_an_error_and_a_flood_are_no_answer(key_server: str) -> None:
    for answer in ((302, {"Location": "http://127.0.0.1:1/"}, b""), (500, {}, b""), (200, {}, b"x" * 300_000)):
        Keys.answer = answer
        with pytest.raises(Unavailable):
            egress.fetch(key_server, allow_private=True, timeout_s=2.0)
    Keys.answer = (200, {"Cache-Control": "max-age=60"}, JWKS.encode())
    found = egress.fetch(key_server, allow_private=True, timeout_s=2.0)
    assert (found.body, found.headers["cache-control"]) == (JWKS.encode(), "max-age=60")


@pytest.fixture(scope="module")
def open_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A site that lets apps register themselves."""

    folder = tmp_path_factory.mktemp("open")
    database = open_database(f"sqlite:///{folder / 'open.sqlite3'}")
    yield make_world(database, folder, registration=True, registration_scope="launch/patient openid patient/*.rs offline_access", brand=None, tenant="")
    database.close()


APP = {"client_name": "New app", "redirect_uris": ["https://app.example/callback"], "scope": "launch/patient openid patient/*.rs user/*.cruds", "grant_types": ["authorization_code", "refresh_token"]}


@pytest.mark.conformance(SMART, "24: registration is confirmed with the parameters and a client_id")
@pytest.mark.conformance(SMART, "316: registration assigns a client_id")
@pytest.mark.parametrize("more", [{"token_endpoint_auth_method": "none"}, {}, {"token_endpoint_auth_method": "private_key_jwt", "jwks": json.loads(JWKS)}], ids=["public", "symmetric", "asymmetric"])
def test_an_app_registers_itself_and_is_asked_about_at_every_launch(open_world: World, more: dict[str, Any]) -> None:
    answer = open_world.browser.post("/oauth/register", json={**APP, **more}, base_url=ROOT)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    said = answer.get_json()
    assert said["scope"] == "launch/patient openid patient/*.rs"
    assert ("client_secret" in said) == (said["token_endpoint_auth_method"] == "client_secret_basic")
    with open_world.database.read() as db:
        client = clients.find(db, said["client_id"])
    assert client is not None
    assert (client.first_party, client.role, client.test) == (False, "", False)
    open_world.sign_in()
    _, request, csrf = open_world.page(open_world.authorize(client))
    text, request, csrf = open_world.page(open_world.answer(request, csrf, id="anna"))
    assert "New app" in text
    code = code_of(open_world.answer(request, csrf, decision="allow", scope=["openid", "patient/*.rs"]))
    headers = {"Authorization": basic(client.client_id, said["client_secret"])} if "client_secret" in said else {}
    assert open_world.exchange(code, client, headers=headers).status_code == 200  # type: ignore[arg-type]
    assert "client-registered" in open_world.words()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uris": ["http://evil.example"]}, "invalid_redirect_uri"), ({"redirect_uris": []}, "invalid_client_metadata"), ({"client_name": ""}, "invalid_client_metadata"),
        ({"scope": "system/*.rs"}, "invalid_client_metadata"), ({"token_endpoint_auth_method": "client_secret_post"}, "invalid_client_metadata"), ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"), ({"redirect_uris": "x"}, "invalid_client_metadata"), ({"client_name": 7}, "invalid_client_metadata"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_registration_is_refused_with_the_errors_of_rfc_7591(open_world: World, changes: dict[str, Any], error: str) -> None:
    answer = open_world.browser.post("/oauth/register", json={**APP, **changes}, base_url=ROOT)
    assert (answer.status_code, answer.get_json()["error"]) == (400, error)


def test_a_registration_of_megabytes_is_not_read(open_world: World) -> None:
    answer = open_world.browser.post("/oauth/register", json={**APP, "client_name": "x" * 100_000}, base_url=ROOT)
    assert answer.status_code in (400, 413)


@pytest.mark.conformance("Attacks", "100: nobody registers as first party with a role or as a test client")
def test_nobody_registers_as_first_party_with_a_role_or_as_a_test_client(open_world: World) -> None:
    said = open_world.browser.post("/oauth/register", json={**APP, "first_party": True, "role": "operator", "test": True, "client_id": "own-app", "grant_types": ["client_credentials", "authorization_code"]}, base_url=ROOT).get_json()
    with open_world.database.read() as db:
        client = clients.find(db, said["client_id"])
    assert client is not None
    assert (client.first_party, client.role, client.test, client.client_id == "own-app", client.grants) == (False, "", False, False, ("authorization_code",))


def test_a_site_without_a_brand_names_none(open_world: World) -> None:
    assert not [name for name in open_world.browser.get("/.well-known/smart-configuration", base_url=ROOT).get_json() if "brand" in name]
    assert open_world.browser.get("/.well-known/user-access-brands", base_url=ROOT).status_code == 404


@pytest.mark.conformance(SMART, "402: a site manages every element of its brand")
@pytest.mark.conformance(SMART, "403: identifiers of the site's own are supported")
@pytest.mark.conformance(SMART, "421: identifiers of the site's own are supported")
@pytest.mark.conformance(SMART, "436: there is a way to populate every element")
def test_a_bundle_of_the_sites_own_is_published_when_it_names_its_brand_once() -> None:
    identifier = {"system": "urn:ietf:rfc:3986", "value": "https://evergreen.example"}
    organization = {"resourceType": "Organization", "identifier": [{**identifier, "use": "official"}], "alias": ["Evergreen"], "type": [{"text": "clinic"}]}
    bundle = {"resourceType": "Bundle", "type": "collection", "timestamp": "2026-11-22T08:00:00Z", "entry": [{"resource": organization}]}
    assert own_bundle(json.dumps(bundle), identifier) == bundle
    for wrong in ({}, {**bundle, "timestamp": ""}, {**bundle, "entry": []}, {**bundle, "entry": bundle["entry"] * 2}, {**bundle, "resourceType": "Patient"}, [], "x"):  # type: ignore[operator]
        with pytest.raises(Invalid):
            own_bundle(json.dumps(wrong), identifier)


@pytest.mark.conformance(SMART, "73: the token endpoint answers a JSON object with an access token, or why not")
@pytest.mark.conformance(SMART, "84: its parameters stand in the body")
@pytest.mark.conformance(SMART, "85: an access token is a string as RFC 6750 wants it")
@pytest.mark.conformance(SMART, "140: user scopes give what the person may see")
@pytest.mark.conformance(SMART, "144: a wildcard gives every type that the person may see")
@pytest.mark.conformance(SMART, "119: scopes never override what the person may do")
@pytest.mark.conformance(SMART, "368: user scopes are supported")
@pytest.mark.conformance(SMART, "367: patient scopes are supported")
def test_user_scopes_see_what_the_person_sees_and_patient_scopes_one_patient(world: World) -> None:
    answer = world.exchange(code_of(world.launched(OWN, scope="launch user/*.cruds")))
    assert answer.content_type.startswith("application/json")
    wide = answer.get_json()["access_token"]
    assert TOKEN_68.fullmatch(wide)
    narrow = world.granted(OWN, scope="launch patient/*.rs")["access_token"]
    for path, seen in (("Patient/anna", 200), ("Patient/berta", 404), ("Observation/lab-berta", 404), ("Encounter/visit-berta", 404)):
        assert world.fhir(path, wide).status_code == 200
        assert world.fhir(path, narrow).status_code == seen
    assert world.fhir("AuditEvent", wide).status_code == 403


@pytest.mark.conformance(SMART, "305: a registered key set is kept as it was registered; every change is audited")
def test_a_registered_key_set_is_kept_as_it_was_registered(world: World) -> None:
    with world.database.read() as db:
        kept = clients.find(db, KEY_APP.client_id)
    assert kept == KEY_APP


def test_the_whole_flow_on_postgresql(postgresql_url: str, tmp_path: Path) -> None:

    database: Database = open_database(postgresql_url)
    try:
        there = make_world(database, tmp_path)
        client: Client = KEY_APP
        token = there.granted(client, scope="launch openid fhirUser offline_access patient/Observation.rs?category=laboratory patient/Observation.rs?code=http://loinc.org|0-0")
        assert there.fhir("Observation/lab-anna", token["access_token"]).status_code == 200
        assert there.fhir("Observation/vital-anna", token["access_token"]).status_code == 404
        assert [each["resource"]["id"] for each in there.fhir("Observation?_total=accurate", token["access_token"]).get_json()["entry"]] == ["lab-anna"]
        assert there.fhir("Observation/lab-anna/_history/1", token["access_token"]).status_code == 200
        following = there.refresh(token["refresh_token"], client).get_json()
        assert there.refresh(token["refresh_token"], client).get_json()["error"] == "invalid_grant"
        assert there.subject(following["access_token"]) is None
        assert there.authorize(OWN, nonce="a\x00b").status_code == 400
        _, request, csrf = there.page(there.authorize(OWN))
        assert there.answer(request, csrf, id="a\x00b").status_code == 404
        assert there.exchange(code_of(there.answer(request, csrf, id="anna"))).get_json()["patient"] == "anna"
        assert there.browser.post("/oauth/introspect", data={"token": "x\x00"}, headers={"Authorization": basic("secret-app", SECRET)}, base_url=ROOT).get_json() == {"active": False}
    finally:
        database.close()
