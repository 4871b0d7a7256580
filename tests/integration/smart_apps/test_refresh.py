"""Refresh tokens: bound, rotated, narrowed, never widened; reuse ends the family, logout ends what is online."""

from dataclasses import replace
from typing import Any

import pytest

from chartloop.kernel.clock import FakeClock
from smart_apps.server import authorizations, clients
from smart_apps.server.registry import remove_client
from tests.integration.smart_apps.oauth_world import DOCTOR, KEY_APP, NARROW, OWN, PUBLIC, SYMMETRIC_APP, World, code_of, world

__all__ = ["world"]

SMART = "SMART 2.2.0"
ONLINE = "launch openid online_access patient/*.rs"


@pytest.mark.conformance(SMART, "101: offline_access gives new access tokens without the person")
@pytest.mark.conformance(SMART, "109: a refresh without a scope asks for the same scopes")
@pytest.mark.conformance(SMART, "110: a refresh answers an access token")
@pytest.mark.conformance(SMART, "111: a refresh answers the token type")
@pytest.mark.conformance(SMART, "112: a refresh answers expires_in")
@pytest.mark.conformance(SMART, "113: a refresh answers the scope")
@pytest.mark.conformance(SMART, "114: the scope of a refresh is the original one")
@pytest.mark.conformance(SMART, "365: offline refresh tokens are supported")
@pytest.mark.parametrize("client", [OWN, SYMMETRIC_APP, KEY_APP], ids=lambda each: each.kind)
def test_a_refresh_gives_the_same_rights_and_context_and_a_new_refresh_token(world: World, client: clients.Client) -> None:
    first = world.granted(client)
    answer = world.refresh(first["refresh_token"], client)
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    found = answer.get_json()
    assert found["scope"] == first["scope"]
    assert (found["token_type"], found["expires_in"], found["patient"]) == ("Bearer", 3600, "anna")
    assert found["refresh_token"] != first["refresh_token"]
    assert world.fhir("Patient/anna", found["access_token"]).status_code == 200
    assert world.fhir("Patient/anna", first["access_token"]).status_code == 200


@pytest.mark.conformance(SMART, "115: the scope of a refresh can be narrower")
@pytest.mark.conformance("Attacks", "99: scope widening on refresh is refused")
def test_a_refresh_narrows_and_never_widens_and_the_next_one_has_the_whole_grant_again(world: World) -> None:
    token = world.granted(OWN, scope="launch offline_access patient/Observation.rs patient/Patient.rs")["refresh_token"]
    narrow = world.refresh(token, scope="patient/Observation.r").get_json()
    assert narrow["scope"] == "patient/Observation.r"
    assert world.fhir("Patient/anna", narrow["access_token"]).status_code == 403
    assert world.fhir("Observation/lab-anna", narrow["access_token"]).status_code == 200
    for wider in ("patient/*.rs", "patient/Observation.cruds", "user/Observation.rs", "patient/Observation.rs openid", "nonsense", "system/*.rs"):
        refused = world.refresh(narrow["refresh_token"], scope=wider)
        assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_scope"), wider
    again = world.refresh(narrow["refresh_token"]).get_json()
    assert again["scope"] == "launch offline_access patient/Observation.rs patient/Patient.rs"


@pytest.mark.conformance(SMART, "103: a refresh token is bound to its client")
@pytest.mark.conformance("Attacks", "63: a token of another client, a refresh token that was used, gives nothing")
def test_a_refresh_token_is_good_for_its_own_client_alone(world: World) -> None:
    token = world.granted(OWN)["refresh_token"]
    for thief in (SYMMETRIC_APP, PUBLIC):
        assert world.refresh(token, thief).get_json()["error"] == "invalid_grant"
    assert world.refresh(token).status_code == 200


@pytest.mark.conformance("Real clients", "a public client refreshes without its client_id, as SMART writes the request and JavaScript fhirclient sends it")
def test_a_refresh_without_a_client_id_is_of_the_public_client_whose_token_it_is(world: World) -> None:
    first = world.granted(OWN)
    answer = world.refresh(first["refresh_token"], client_id=None)
    assert (answer.status_code, answer.get_json()["patient"]) == (200, "anna")
    assert world.refresh(first["refresh_token"], client_id=None).get_json()["error"] == "invalid_grant"  # a second use, and it ends the family
    assert world.subject(answer.get_json()["access_token"]) is None


@pytest.mark.conformance("Attacks", "63: the refresh token of a confidential client gives nothing without its proof")
@pytest.mark.parametrize("client", [SYMMETRIC_APP, KEY_APP], ids=lambda each: each.kind)
def test_a_refresh_without_a_proof_gives_nothing_of_a_confidential_client(world: World, client: clients.Client) -> None:
    token = world.granted(client)["refresh_token"]
    unknown = world.refresh("never-issued", client_id=None)
    for form in ({"client_id": None}, {"client_id": client.client_id}, {"client_id": ""}):
        refused = world.refresh(token, **form)
        assert (refused.status_code, refused.get_json()) == (400, unknown.get_json())  # nor is it said that the token is good
    assert unknown.get_json()["error"] == "invalid_client"
    assert world.refresh(token, client).status_code == 200


@pytest.mark.conformance("Attacks", "99: the reuse of a refresh token ends its family")
def test_reuse_of_a_refresh_token_ends_every_token_of_the_authorization(world: World) -> None:
    first = world.granted(OWN)
    second = world.refresh(first["refresh_token"]).get_json()
    assert world.refresh(first["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert world.refresh(second["refresh_token"]).get_json()["error"] == "invalid_grant"
    for token in (first, second):
        assert world.subject(token["access_token"]) is None
    assert "refresh-reuse" in world.words()


@pytest.mark.conformance("Attacks", "99: a code that is used twice revokes its tokens")
def test_reuse_of_a_code_ends_every_token_it_gave(world: World) -> None:
    code = code_of(world.launched(OWN))
    first = world.exchange(code).get_json()
    second = world.refresh(first["refresh_token"]).get_json()
    assert world.exchange(code).get_json()["error"] == "invalid_grant"
    assert world.refresh(second["refresh_token"]).status_code == 400
    assert world.subject(second["access_token"]) is None
    assert "code-reuse" in world.words()


@pytest.mark.conformance("Attacks", "99: a code that was stolen by a second client gives nothing")
def test_a_code_of_another_client_gives_nothing_and_stays_good_for_its_own(world: World) -> None:
    code = code_of(world.launched(OWN))
    assert world.exchange(code, PUBLIC).get_json()["error"] == "invalid_grant"
    assert world.exchange(code).status_code == 200


@pytest.mark.conformance(SMART, "100: online_access gives new access tokens while the person stays signed in")
@pytest.mark.conformance(SMART, "366: online refresh tokens are supported")
@pytest.mark.conformance(SMART, "104: a refresh token never holds more than was authorized")
def test_online_access_ends_with_the_session_and_offline_access_does_not(world: World) -> None:
    secret = world.sign_in()
    online, offline = (world.exchange(code_of(world.authorize(OWN, scope=scope))).get_json() for scope in ("user/Patient.rs online_access", "user/Patient.rs offline_access"))
    online = world.refresh(online["refresh_token"]).get_json()
    world.side.sessions.leave(secret)
    assert world.subject(online["access_token"]) is None
    assert world.refresh(online["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert world.subject(offline["access_token"]) is None
    later = world.refresh(offline["refresh_token"]).get_json()
    subject = world.subject(later["access_token"])
    assert subject is not None
    assert (subject.id, subject.role, subject.session) == (DOCTOR.id, DOCTOR.role, "")


@pytest.mark.conformance(SMART, "89: the server decides whether a refresh token is issued")
def test_no_refresh_token_without_being_asked_for_or_registered(world: World) -> None:
    assert "refresh_token" not in world.granted(OWN, scope="launch patient/*.rs")
    world.sign_in()
    assert "refresh_token" not in world.exchange(code_of(world.authorize(OWN, scope="user/Patient.rs"))).get_json()
    refused = world.token(NARROW, grant_type="refresh_token", refresh_token="x")
    assert refused.get_json()["error"] == "unauthorized_client"


@pytest.mark.conformance(SMART, "88: the server decides how long an access token lives")
@pytest.mark.conformance(SMART, "77: an access token that has ended is not accepted")
@pytest.mark.conformance(SMART, "94: the resource server refuses a token that has ended")
def test_tokens_end_with_their_time(world: World, fake_clock: FakeClock) -> None:
    token = world.granted(OWN)
    fake_clock.advance(3601)
    assert world.fhir("Patient/anna", token["access_token"]).status_code == 401
    following = world.refresh(token["refresh_token"]).get_json()
    fake_clock.advance(90 * 86_400)
    assert world.refresh(following["refresh_token"]).get_json()["error"] == "invalid_grant"


def test_a_refresh_gives_at_most_what_is_registered_now_and_nothing_of_a_client_that_is_gone(world: World) -> None:
    client = replace(OWN, client_id="shrinking")
    world.database.write(lambda tx: clients.register(tx, client))
    token = world.granted(client, scope="launch offline_access patient/Observation.rs patient/Patient.rs")
    world.database.write(lambda tx: clients.register(tx, replace(client, scope="launch offline_access patient/Observation.rs")))
    found = world.refresh(token["refresh_token"], client).get_json()
    assert found["scope"] == "launch offline_access patient/Observation.rs"
    world.database.write(lambda tx: remove_client(tx, world.side.server.audit, DOCTOR, "shrinking"))
    assert world.subject(found["access_token"]) is None
    assert world.refresh(found["refresh_token"], client).get_json()["error"] == "invalid_client"


def test_the_authorizations_of_a_person_end_together(world: World) -> None:
    person = replace(DOCTOR, id="user:leaver")
    world.sign_in(person)
    token = world.exchange(code_of(world.authorize(OWN, scope="user/Patient.rs offline_access"))).get_json()
    assert world.database.write(lambda tx: authorizations.revoke_of_person(tx, person.id)) == 1
    assert world.refresh(token["refresh_token"]).status_code == 400
    assert world.subject(token["access_token"]) is None


def test_what_ended_long_ago_is_forgotten_and_no_secret_stands_in_the_database(world: World, fake_clock: FakeClock) -> None:
    token = world.granted(OWN)

    def rows() -> str:
        with world.database.read() as db:
            listed: list[Any] = [db.all(f"select * from {name}") for name in ("smart_token", "smart_refresh", "smart_authorization", "smart_code", "smart_pending")]
        return str(listed)

    assert token["access_token"] not in rows()
    assert token["refresh_token"] not in rows()
    fake_clock.advance(100 * 86_400)
    world.database.write(authorizations.forget_ended)
    with world.database.read() as db:
        assert db.all("select 1 from smart_token") == []
        assert db.all("select 1 from smart_refresh") == []
