"""What the server says of itself, its keys and id_tokens, CORS, brands, style, userinfo."""

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from chartloop.kernel.clock import FakeClock
from smart_apps.server import clients
from smart_apps.server.identity import Identity
from smart_apps.server.launches import LaunchContext
from smart_apps.server.origins import RegisteredOrigins
from tests.integration.smart_apps.oauth_world import ANNA, BRAND, KEY_APP, OWN, ROOT, World, code_of, world

__all__ = ["world"]

SMART = "SMART 2.2.0"
PATH = "/fhir/.well-known/smart-configuration"


@pytest.mark.conformance(SMART, "30: the configuration is served")
@pytest.mark.conformance(SMART, "228: discovery names what client-confidential-asymmetric needs")
@pytest.mark.conformance(SMART, "285: the capability client-confidential-asymmetric is listed")
@pytest.mark.conformance(SMART, "286: token_endpoint is listed")
@pytest.mark.conformance(SMART, "287: scopes_supported is listed")
@pytest.mark.conformance(SMART, "288: private_key_jwt is listed")
@pytest.mark.conformance(SMART, "289: RS384 and ES384 are listed")
@pytest.mark.conformance(SMART, "348: patient access for standalone apps: its capabilities are there")
@pytest.mark.conformance(SMART, "349: patient access for EHR launch: its capabilities are there")
@pytest.mark.conformance(SMART, "350: clinician access for standalone apps: its capabilities are there")
@pytest.mark.conformance(SMART, "351: clinician access for EHR launch: its capabilities are there")
@pytest.mark.conformance(SMART, "372: the configuration is at /.well-known/smart-configuration below the FHIR base")
@pytest.mark.conformance(SMART, "373: endpoints and capabilities are said")
@pytest.mark.conformance(SMART, "374: it is JSON whatever Accept says")
@pytest.mark.conformance(SMART, "377: it is application/json")
@pytest.mark.conformance(SMART, "378: addresses are absolute")
@pytest.mark.conformance(SMART, "380: the document is application/json")
@pytest.mark.conformance(SMART, "381: issuer is listed")
@pytest.mark.conformance(SMART, "382: jwks_uri is listed")
@pytest.mark.conformance(SMART, "383: authorization_endpoint is listed")
@pytest.mark.conformance(SMART, "384: grant_types_supported is listed")
@pytest.mark.conformance(SMART, "385: token_endpoint is listed")
@pytest.mark.conformance(SMART, "393: capabilities are listed")
@pytest.mark.conformance(SMART, "394: S256 is listed and plain is not")
@pytest.mark.conformance(SMART, "14: S256 is supported")
@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/fhir+xml"])
def test_the_configuration_says_everything_that_is_offered(world: World, accept: str) -> None:
    answer = world.browser.get(PATH, headers={"Accept": accept, "Origin": "https://anywhere.example"}, base_url=ROOT)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    found = answer.get_json()
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert set(found["grant_types_supported"]) == {"authorization_code", "refresh_token", "client_credentials"}
    assert set(found["token_endpoint_auth_methods_supported"]) == {"none", "client_secret_basic", "private_key_jwt"}
    assert set(found["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
    assert found["issuer"] == ROOT
    assert all(value.startswith(f"{ROOT}/") for name, value in found.items() if name.endswith(("_endpoint", "_uri", "_bundle")))
    assert {
        "launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric", "client-confidential-asymmetric",
        "sso-openid-connect", "context-banner", "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient",
        "context-standalone-encounter", "permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2",
    } == set(found["capabilities"])  # fmt: skip
    assert "registration_endpoint" not in found
    assert world.browser.post("/oauth/register", json={}, base_url=ROOT).status_code == 404


@pytest.mark.conformance(SMART, "16: any origin may read the configuration and the metadata")
@pytest.mark.parametrize("path", [PATH, "/fhir/metadata", "/oauth/jwks", "/.well-known/openid-configuration", "/.well-known/user-access-brands", "/oauth/smart-style-1.json"])
def test_what_is_public_can_be_read_from_any_origin(world: World, path: str) -> None:
    answer = world.browser.get(path, headers={"Origin": "https://anywhere.example"}, base_url=ROOT)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.conformance(SMART, "17: registered origins may call the token endpoint")
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/userinfo"])
def test_registered_origins_alone_may_call_the_endpoints(world: World, path: str) -> None:
    for method in ("OPTIONS", "POST"):
        ours = world.browser.open(path, method=method, headers={"Origin": "https://app.example"}, base_url=ROOT)
        assert ours.headers["Access-Control-Allow-Origin"] == "https://app.example"
        for foreign in ("null", "https://app.example.evil.example", "http://app.example"):
            answer = world.browser.open(path, method=method, headers={"Origin": foreign}, base_url=ROOT)
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Vary"] == "Origin"


@pytest.mark.conformance(SMART, "17: registered origins may call the FHIR API, without a restart")
def test_the_origin_of_a_client_that_is_registered_later_is_known(world: World, fake_clock: FakeClock) -> None:
    origins = RegisteredOrigins(world.database, ("https://settings.example",))
    assert "https://settings.example" in origins
    assert "https://new.example" not in origins
    later = clients.Client("later", "Later", ("https://new.example/cb",), "", "openid", ("https://new.example",))
    world.database.write(lambda tx: clients.register(tx, later))
    fake_clock.advance(6)
    assert "https://new.example" in origins
    world.database.write(lambda tx: clients.remove(tx, "later"))


def test_the_capability_statement_names_the_endpoints_for_clients_that_read_nothing_else(world: World) -> None:
    security = world.browser.get("/fhir/metadata", base_url=ROOT).get_json()["rest"][0]["security"]
    (extension,) = security["extension"]
    assert extension["url"].endswith("/StructureDefinition/oauth-uris")
    said = {each["url"]: each["valueUri"] for each in extension["extension"]}
    assert said == {name: f"{ROOT}/oauth/{path}" for name, path in [("authorize", "authorize"), ("token", "token"), ("introspect", "introspect"), ("revoke", "revoke"), ("manage", "apps")]}


@pytest.mark.conformance(SMART, "200: openid and fhirUser bring an id_token")
@pytest.mark.conformance(SMART, "205: the authorization code flow is supported")
@pytest.mark.conformance(SMART, "207: public keys are published as bare JWKs")
@pytest.mark.conformance(SMART, "209: the id_token carries fhirUser")
@pytest.mark.conformance(SMART, "210: id_tokens are signed with RS256")
@pytest.mark.conformance(SMART, "358: OpenID Connect is supported")
@pytest.mark.parametrize(("client", "alg"), [(OWN, "RS256"), (KEY_APP, "ES384")], ids=["RS256", "ES384"])
def test_the_id_token_is_signed_as_registered_and_names_the_person(world: World, client: clients.Client, alg: str) -> None:
    token = world.granted(client, scope="launch openid fhirUser profile patient/*.rs")
    keys = KeySet.import_key_set(world.browser.get("/oauth/jwks", base_url=ROOT).get_json())
    found = jwt.decode(token["id_token"], keys, algorithms=[alg])
    assert (found.header["alg"], found.claims["iss"], found.claims["aud"]) == (alg, ROOT, client.client_id)
    assert found.claims["fhirUser"] == f"{ROOT}/fhir/Practitioner/7"
    assert (found.claims["nonce"], found.claims["name"]) == ("n0nce", "Dr. Doe")
    assert 0 < len(found.claims["sub"]) < 256
    info = world.browser.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token['access_token']}"}, base_url=ROOT)
    assert info.get_json() == {"sub": found.claims["sub"], "fhirUser": found.claims["fhirUser"], "name": "Dr. Doe"}


@pytest.mark.conformance(SMART, "198: fhirUser leads to a Patient or Practitioner")
def test_a_patient_is_their_own_fhir_user(world: World) -> None:
    world.sign_in(ANNA, "Anna")
    token = world.exchange(code_of(world.authorize(OWN, scope="launch/patient openid fhirUser patient/*.rs"))).get_json()
    keys = KeySet.import_key_set(world.browser.get("/oauth/jwks", base_url=ROOT).get_json())
    assert jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims["fhirUser"] == f"{ROOT}/fhir/Patient/anna"
    assert world.fhir("Patient/anna", token["access_token"]).get_json()["resourceType"] == "Patient"


@pytest.mark.conformance("Attacks", "98: userinfo needs openid and an id token is no access token")
def test_userinfo_needs_openid_and_an_id_token_is_no_access_token(world: World) -> None:
    token = world.granted(OWN, scope="launch openid patient/Patient.rs")
    assert world.fhir("Patient/anna", token["id_token"]).status_code == 401
    without = world.granted(OWN, scope="launch patient/Patient.rs")["access_token"]
    assert world.browser.get("/oauth/userinfo", headers={"Authorization": f"Bearer {without}"}, base_url=ROOT).status_code == 403
    assert world.browser.get("/oauth/userinfo", base_url=ROOT).status_code == 401


def test_rotated_keys_stay_published_for_a_day_and_the_newest_signs(world: World, fake_clock: FakeClock) -> None:
    identity = Identity(world.folder / "other-keys")
    old = identity.sign({"sub": "x"})
    first = {key["kid"] for key in identity.jwks()["keys"]}
    identity.rotate()
    new = identity.sign({"sub": "x"})
    both = KeySet.import_key_set(Identity(world.folder / "other-keys").jwks())  # type: ignore[arg-type]
    for token in (old, new):
        assert jwt.decode(token, both, algorithms=["RS256"]).claims["sub"] == "x"
    assert jwt.decode(new, both, algorithms=["RS256"]).header["kid"] not in first
    assert len(identity.jwks()["keys"]) == 6
    assert not any({"d", "p", "q"} & key.keys() for key in identity.jwks()["keys"])
    fake_clock.advance(86_401)
    assert not first & {key["kid"] for key in identity.jwks()["keys"]}
    assert [each.published for each in identity.generations()] == [True, False]


@pytest.mark.conformance(SMART, "396: a primary brand that names the endpoint is published")
@pytest.mark.conformance(SMART, "398: the bundle has a timestamp")
@pytest.mark.conformance(SMART, "400: brands can be read from any origin")
@pytest.mark.conformance(SMART, "405: no data-absent reason is used")
@pytest.mark.conformance(SMART, "409: the brand identifier is in the configuration")
@pytest.mark.conformance(SMART, "410: it has a value")
@pytest.mark.conformance(SMART, "412: it matches one Organization")
@pytest.mark.conformance(SMART, "417: a primary brand is published for the endpoint")
@pytest.mark.conformance(SMART, "419: each resource says when it was last changed")
@pytest.mark.conformance(SMART, "418: the bundle has a timestamp")
@pytest.mark.conformance(SMART, "423: brands can be read from any origin")
@pytest.mark.conformance(SMART, "430: the identifier has a value")
@pytest.mark.conformance(SMART, "431: the identifier has a system")
@pytest.mark.conformance(SMART, "432: one brand has the identifier")
def test_the_brand_of_the_settings_is_published(world: World) -> None:
    said = world.browser.get(PATH, base_url=ROOT).get_json()
    assert said["user_access_brand_identifier"] == {"system": BRAND.identifier_system, "value": BRAND.identifier_value}
    answer = world.browser.get(said["user_access_brand_bundle"], headers={"Origin": "https://anywhere.example"})
    assert answer.mimetype == "application/fhir+json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    bundle = answer.get_json()
    assert (bundle["type"], bundle["timestamp"]) == ("collection", BRAND.changed)
    organization, endpoint = (entry["resource"] for entry in bundle["entry"])
    assert organization["identifier"] == [said["user_access_brand_identifier"]]
    assert organization["endpoint"] == [{"reference": bundle["entry"][1]["fullUrl"]}]
    assert organization["meta"]["lastUpdated"] == endpoint["meta"]["lastUpdated"] == BRAND.changed
    assert endpoint["address"] == f"{ROOT}/fhir"
    assert "data-absent-reason" not in answer.get_data(as_text=True)
    assert world.browser.get(said["user_access_brand_bundle"], headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


@pytest.mark.conformance(SMART, "168: the token answer carries the context, asked for or not")
@pytest.mark.conformance(SMART, "169: launch context parameters stand beside the access token")
@pytest.mark.conformance(SMART, "170: patient is an id")
@pytest.mark.conformance(SMART, "171: encounter is an id")
@pytest.mark.conformance(SMART, "172: fhirContext refers to what is neither patient nor encounter")
@pytest.mark.conformance(SMART, "173: need_patient_banner is a boolean")
@pytest.mark.conformance(SMART, "174: intent is a string")
@pytest.mark.conformance(SMART, "175: smart_style_url leads to style parameters")
@pytest.mark.conformance(SMART, "176: tenant is a string")
@pytest.mark.conformance(SMART, "177: patient and encounter do not stand in fhirContext")
@pytest.mark.conformance(SMART, "178: each item of fhirContext has a reference")
@pytest.mark.conformance(SMART, "352: EHR launch is supported")
@pytest.mark.conformance(SMART, "359: context-banner is supported")
@pytest.mark.conformance(SMART, "360: context-style is supported")
@pytest.mark.conformance(SMART, "361: context-ehr-patient is supported")
@pytest.mark.conformance(SMART, "362: context-ehr-encounter is supported")
def test_everything_that_is_open_reaches_the_app(world: World) -> None:
    session = world.side.sessions.find(world.sign_in())
    assert session is not None
    context = LaunchContext("anna", "visit-anna", "reconcile", ("Task/t1", "Patient/anna", "Encounter/visit-anna"), need_patient_banner=False)
    launch = world.side.server.launch(session, OWN.client_id, context)
    token = world.exchange(code_of(world.authorize(OWN, launch=launch, scope="launch patient/*.rs"))).get_json()
    assert (token["patient"], token["encounter"], token["intent"], token["tenant"]) == ("anna", "visit-anna", "reconcile", "evergreen")
    assert token["fhirContext"] == [{"reference": "Task/t1"}]
    assert token["need_patient_banner"] is False
    style = world.browser.get(token["smart_style_url"]).get_json()
    assert style["color_background"].startswith("#")
    assert style["dim_border_radius"].endswith("px")
