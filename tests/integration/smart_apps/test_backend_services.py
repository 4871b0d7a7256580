"""Backend services, introspection and revocation."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from chartloop.kernel.clock import FakeClock
from tests.integration.smart_apps.oauth_world import KEY_APP, OWN, ROOT, SECRET, SERVICE, SYMMETRIC_APP, WATCHER, World, basic, proof, world

__all__ = ["world"]

SMART = "SMART 2.2.0"


def service_token(world: World, scope: str | None = "system/Patient.rs", client: Any = SERVICE) -> TestResponse:
    """Ask as a backend service."""
    return world.token(client, grant_type="client_credentials", scope=scope)


@pytest.mark.conformance(SMART, "240: a backend service is authorized beforehand")
@pytest.mark.conformance(SMART, "249: a backend service proves itself by an assertion")
@pytest.mark.conformance(SMART, "253: a valid request is answered with an access token")
@pytest.mark.conformance(SMART, "254: the answer carries access_token")
@pytest.mark.conformance(SMART, "255: the answer carries token_type bearer")
@pytest.mark.conformance(SMART, "256: the answer carries expires_in")
@pytest.mark.conformance(SMART, "258: the answer carries the scope")
@pytest.mark.conformance(SMART, "261: the token is short-lived")
@pytest.mark.conformance(SMART, "142: system scopes give what the system is authorized for")
def test_a_backend_service_gets_a_short_token_in_its_registered_role(world: World) -> None:
    answer = service_token(world)
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    found = answer.get_json()
    assert set(found) == {"access_token", "token_type", "expires_in", "scope"}
    assert (found["token_type"], found["expires_in"], found["scope"]) == ("Bearer", 300, "system/Patient.rs")
    subject = world.subject(found["access_token"])
    assert subject is not None
    assert (subject.id, subject.role, subject.client, subject.session) == ("client:service", "omop-bridge", "service", "")
    assert world.fhir("Patient/berta", found["access_token"]).status_code == 200
    assert world.fhir("Observation/lab-anna", found["access_token"]).status_code == 403


@pytest.mark.conformance(SMART, "265: an ended token is refused by the resource server")
@pytest.mark.conformance(SMART, "266: the scope must cover the resource")
def test_the_token_of_a_backend_service_ends_after_five_minutes(world: World, fake_clock: FakeClock) -> None:
    token = service_token(world).get_json()["access_token"]
    assert world.fhir("Observation/lab-anna", token).status_code == 403
    fake_clock.advance(301)
    assert world.fhir("Patient/anna", token).status_code == 401


@pytest.mark.conformance(SMART, "241: requested scopes restrict the access")
@pytest.mark.conformance(SMART, "250: scopes are granted within what was authorized beforehand")
@pytest.mark.conformance(SMART, "259: the granted scope may differ from the requested one")
@pytest.mark.conformance(SMART, "251: errors are those of RFC 6749, 5.2")
def test_a_backend_service_gets_at_most_what_was_registered(world: World) -> None:
    assert service_token(world, "system/Patient.rs system/Claim.rs user/*.cruds openid offline_access").get_json()["scope"] == "system/Patient.rs"
    for scope in ("system/*.rs", "user/Patient.rs", "patient/Patient.rs", "openid", "", None):
        answer = service_token(world, scope)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")


@pytest.mark.conformance(SMART, "344: a symmetric client is no backend service")
@pytest.mark.parametrize("client", [OWN, SYMMETRIC_APP, KEY_APP], ids=lambda each: each.client_id)
def test_an_app_is_no_backend_service(world: World, client: Any) -> None:
    answer = world.token(client, grant_type="client_credentials", scope="system/*.rs")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")


@pytest.mark.parametrize("grant", ["password", "not_a_grant_type", "", None])
def test_an_unknown_grant_type_is_refused(world: World, grant: str | None) -> None:
    answer = world.token(SERVICE, grant_type=grant, scope="system/Patient.rs")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unsupported_grant_type")


def introspect(world: World, token: str, bearer: str = "", **headers: str) -> TestResponse:
    """Ask what a token is."""
    given = {"Authorization": f"Bearer {bearer}"} if bearer else headers
    return world.browser.post("/oauth/introspect", data={"token": token}, headers=given, base_url=ROOT)


@pytest.mark.conformance(SMART, "271: introspection answers as RFC 7662 says")
@pytest.mark.conformance(SMART, "272: introspection says whether a token is active")
@pytest.mark.conformance(SMART, "273: introspection says the scope")
@pytest.mark.conformance(SMART, "274: introspection says the client")
@pytest.mark.conformance(SMART, "275: introspection says when the token ends")
@pytest.mark.conformance(SMART, "276: exp is consistent with expires_in")
@pytest.mark.conformance(SMART, "277: introspection repeats the launch context")
@pytest.mark.conformance(SMART, "278: introspection repeats iss")
@pytest.mark.conformance(SMART, "279: introspection repeats sub")
@pytest.mark.conformance(SMART, "282: a backend service with the right scope may introspect by bearer token")
@pytest.mark.conformance(SMART, "283: such a caller may introspect tokens of any client")
def test_an_authorised_service_introspects_the_token_of_an_app(world: World, fake_clock: FakeClock) -> None:
    given = world.granted(OWN, scope="launch openid fhirUser patient/*.rs")
    bearer = service_token(world, "system/Introspection.r", WATCHER).get_json()["access_token"]
    found = introspect(world, given["access_token"], bearer).get_json()
    assert found["active"] is True
    assert (found["scope"], found["client_id"], found["token_type"]) == (given["scope"], "own-app", "Bearer")
    assert found["exp"] == fake_clock.now_us() // 1_000_000 + given["expires_in"]
    for name in ("patient", "encounter", "need_patient_banner", "smart_style_url", "tenant"):
        assert found[name] == given[name]
    assert found["iss"] == ROOT
    assert found["fhirUser"] == f"{ROOT}/fhir/Practitioner/7"
    assert len(found["sub"]) == 64
    fake_clock.advance(3601)
    bearer = service_token(world, "system/Introspection.r", WATCHER).get_json()["access_token"]
    assert introspect(world, given["access_token"], bearer).get_json() == {"active": False}


def test_who_may_introspect_learns_of_own_tokens_alone_unless_authorised(world: World) -> None:
    ours, theirs = world.granted(SYMMETRIC_APP), world.granted(OWN)
    credentials = {"Authorization": basic("secret-app", SECRET)}
    assert introspect(world, ours["access_token"], **credentials).get_json()["active"] is True
    assert introspect(world, theirs["access_token"], theirs["access_token"]).get_json()["active"] is True
    plain = service_token(world).get_json()["access_token"]
    for answer in (
        introspect(world, theirs["access_token"], **credentials),
        introspect(world, ours["access_token"], theirs["access_token"]),
        introspect(world, theirs["access_token"], plain),
        introspect(world, ours["refresh_token"], **credentials),
        introspect(world, "made-up", **credentials),
    ):
        assert answer.status_code == 200
        assert answer.get_json() == {"active": False}
        assert answer.headers["Cache-Control"] == "no-store"


def test_introspection_without_proof_is_refused(world: World) -> None:
    token = world.granted(OWN)["access_token"]
    assert introspect(world, token).status_code in (400, 401)
    assert introspect(world, token, "made-up").status_code == 401
    by_name = world.browser.post("/oauth/introspect", data={"token": token, "client_id": "own-app"}, base_url=ROOT)
    assert (by_name.status_code, by_name.get_json()["error"]) == (401, "invalid_client")
    assert world.browser.post("/oauth/introspect", base_url=ROOT).get_json()["error"] == "invalid_request"


@pytest.mark.conformance("Attacks", "99: nothing is refreshed after a revocation")
@pytest.mark.parametrize("client", [OWN, SYMMETRIC_APP, KEY_APP], ids=lambda each: each.kind)
def test_a_client_revokes_its_refresh_token_and_with_it_everything(world: World, client: Any) -> None:
    token = world.granted(client)
    headers = {"Authorization": basic("secret-app", SECRET)} if client is SYMMETRIC_APP else {}

    def revoke(secret: str, **form: str) -> int:
        data = {"token": secret, **proof(client), **form}
        return world.browser.post("/oauth/revoke", data=data, headers=headers, base_url=ROOT).status_code

    assert revoke(token["refresh_token"], token_type_hint="access_token") == 200
    assert world.subject(token["access_token"]) is None
    assert world.refresh(token["refresh_token"], client).get_json()["error"] == "invalid_grant"
    assert revoke(token["refresh_token"]) == 200
    other = world.granted(client)
    assert revoke(other["access_token"]) == 200
    assert world.subject(other["access_token"]) is None
    assert world.refresh(other["refresh_token"], client).status_code == 200
    assert "token-revoked" in world.words()


def test_a_client_revokes_no_token_of_another(world: World) -> None:
    token = world.granted(SYMMETRIC_APP)
    for name in ("access_token", "refresh_token"):
        assert world.browser.post("/oauth/revoke", data={"token": token[name], "client_id": "own-app"}, base_url=ROOT).status_code == 200
    assert world.subject(token["access_token"]) is not None
    assert world.refresh(token["refresh_token"], SYMMETRIC_APP).status_code == 200
    assert world.browser.post("/oauth/revoke", data={"token": token["access_token"], "client_id": "secret-app"}, base_url=ROOT).status_code == 400
