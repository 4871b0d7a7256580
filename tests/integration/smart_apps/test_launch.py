"""The authorization server, from discovery to token, and everything it must refuse."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.errors import Forbidden
from smart_apps.server.identity import verify
from smart_apps.server.launches import LaunchContext
from tests.integration.smart_apps.conftest import APP, PERSON, ROOT, Smart
from tests.integration.smart_apps.oauth_world import challenge

VERIFIER = "v" * 43
REDIRECT = APP.redirect_uris[0]
TASK = LaunchContext(patient="p1", encounter="e1", intent="task", references=("Task/t1",))


def authorize(smart: Smart, launch: str, method: str = "GET", /, **changes: str | None) -> TestResponse:
    """Ask for a code; a change to None leaves the parameter out."""
    query = {
        "response_type": "code",
        "client_id": APP.client_id,
        "redirect_uri": REDIRECT,
        "scope": "launch openid fhirUser user/Task.rus",
        "state": "st4te/+",
        "aud": f"{ROOT}/fhir",
        "launch": launch,
        "nonce": "n0nce",
        "code_challenge": challenge(VERIFIER),
        "code_challenge_method": "S256",
        **changes,
    }
    sent = {name: value for name, value in query.items() if value is not None}
    where = {"query_string": sent} if method == "GET" else {"data": sent}
    return smart.browser.open("/oauth/authorize", method=method, base_url=ROOT, **where)  # type: ignore[arg-type]


def back(response: TestResponse) -> dict[str, str]:
    """Read what the redirect to the app carries."""
    assert response.status_code == 302, response.get_data(as_text=True)
    assert response.headers["Location"].startswith(f"{REDIRECT}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["Location"]).query).items()}


def exchange(smart: Smart, code: str, /, **changes: str | None) -> TestResponse:
    """Ask for a token."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "client_id": APP.client_id,
        "code_verifier": VERIFIER,
        **changes,
    }
    sent = {name: value for name, value in form.items() if value is not None}
    return smart.browser.post("/oauth/token", data=sent, base_url=ROOT)


def granted(smart: Smart, context: LaunchContext = TASK, **changes: str | None) -> dict[str, Any]:
    """Launch to the end."""
    code = back(authorize(smart, smart.launch(smart.sign_in(), context), **changes))["code"]
    answer = exchange(smart, code)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return dict(answer.get_json())


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@373: the configuration names endpoints, grant types and capabilities")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@377: the configuration is served as application/json")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@378: endpoint addresses are absolute")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@14: S256 is supported")
@pytest.mark.conformance("SMART App Launch 2.2", "any origin may read the configuration")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@381: the configuration names the issuer and the key set")
@pytest.mark.parametrize("place", ["/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration"])
def test_discovery_says_what_is_offered_to_any_origin(smart: Smart, place: str) -> None:
    answer = smart.browser.get(place, base_url=ROOT, headers={"Origin": "https://elsewhere.example", "Accept": "*/*"})
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    found = answer.get_json()
    assert found["authorization_endpoint"] == f"{ROOT}/oauth/authorize"
    assert found["token_endpoint"] == f"{ROOT}/oauth/token"
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert "authorization_code" in found["grant_types_supported"]
    assert {"launch-ehr", "client-public", "sso-openid-connect"} <= set(found["capabilities"])
    assert found["issuer"] == ROOT
    assert found["jwks_uri"] == f"{ROOT}/oauth/jwks"


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@48: the authorization endpoint takes GET")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@49: the authorization endpoint takes POST")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@59: the state comes back exactly as it was sent")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@74: the token answer carries an access token")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@75: the token type is Bearer")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@78: the token answer carries the granted scope")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@86: the token answer is Cache-Control: no-store")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@87: the token answer is Pragma: no-cache")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@170: the token answer names the patient")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@171: the token answer names the encounter")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@172: fhirContext holds references other than patient and encounter")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@174: the token answer names the intent")
@pytest.mark.conformance("SMART 2.2.0", "354: authorization by POST is supported")
@pytest.mark.conformance("SMART 2.2.0", "355: public clients are supported")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_launch_ends_with_a_token_and_its_context(smart: Smart, method: str) -> None:
    session = smart.sign_in()
    answer = authorize(smart, smart.launch(session, TASK), method)
    found = back(answer)
    assert found["state"] == "st4te/+"
    assert answer.headers["Cache-Control"] == "no-store"
    token_answer = exchange(smart, found["code"])
    assert token_answer.headers["Cache-Control"] == "no-store"
    assert token_answer.headers["Pragma"] == "no-cache"
    token = token_answer.get_json()
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 3600
    assert token["scope"] == "launch openid fhirUser user/Task.rus"
    assert (token["patient"], token["encounter"], token["intent"]) == ("p1", "e1", "task")
    assert token["fhirContext"] == [{"reference": "Task/t1"}]
    assert "refresh_token" not in token
    subject = smart.tokens.subject_of(token["access_token"])
    assert subject is not None
    assert (subject.id, subject.role, subject.user) == (PERSON.id, PERSON.role, PERSON.user)
    assert subject.scopes == ("user/Task.rus",)
    assert subject.patient == "Patient/p1"
    assert (subject.session, subject.client) == (session.id, APP.client_id)


@pytest.mark.conformance("CDS client", "the token answer carries the appContext of the card's link, and none where there was none")
def test_the_context_of_a_card_reaches_the_app_with_its_token(smart: Smart) -> None:
    said = '{"riskAssessment":"r-1"}'
    assert granted(smart, replace(TASK, app_context=said))["appContext"] == said
    assert "appContext" not in granted(smart)


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@200: openid brings an id token that verifies under the published keys")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@207: public keys are published as JWK, without the private part")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@209: the id token carries fhirUser")
def test_the_id_token_names_the_user_and_verifies_under_the_published_keys(smart: Smart) -> None:
    token = granted(smart)
    keys = smart.browser.get("/oauth/jwks", base_url=ROOT).get_json()
    assert "d" not in keys["keys"][0]
    claims = verify(token["id_token"], keys)
    assert claims["iss"] == ROOT
    assert claims["aud"] == APP.client_id
    assert claims["nonce"] == "n0nce"
    assert claims["fhirUser"] == f"{ROOT}/fhir/Practitioner/7"
    assert claims["exp"] > claims["iat"]


@pytest.mark.conformance("SMART App Launch 2.2", "scopes that were not registered are not granted")
def test_scopes_that_were_not_registered_are_not_granted(smart: Smart) -> None:
    token = granted(smart, scope="launch user/Claim.rs user/Claim.cud system/*.cruds user/Patient.rs launch")
    assert token["scope"] == "launch user/Claim.rs"
    assert "id_token" not in token


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@369: version 1 scopes are answered as they were asked")
def test_version_1_scopes_are_answered_in_version_1_and_decided_in_version_2(smart: Smart) -> None:
    token = granted(smart, scope="launch user/Claim.read")
    assert token["scope"] == "launch user/Claim.read"
    subject = smart.tokens.subject_of(token["access_token"])
    assert subject is not None
    assert subject.scopes == ("user/Claim.rs",)


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@15: the plain method is refused")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@42: a missing or foreign aud is refused")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@54: a denial goes back as an error with its state")
@pytest.mark.conformance("Attacks", "99: missing or plain PKCE, a foreign aud, an invented or foreign launch are refused")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://elsewhere.example/fhir"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": VERIFIER, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "user/Task.rus"}, "invalid_scope"),
        ({"scope": "system/*.cruds"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"launch": None}, "invalid_request"),
        ({"launch": "made-up"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_a_wrong_request_goes_back_to_the_app_as_an_error_with_its_state(
    smart: Smart, changes: dict[str, str | None], error: str
) -> None:
    found = back(authorize(smart, smart.launch(smart.sign_in(), TASK), **changes))
    assert found["error"] == error
    assert found["state"] == "st4te/+"
    assert "code" not in found


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@34: only the exact registered redirect address is used")
@pytest.mark.conformance("Attacks", "99: a redirect address with a suffix or a query is refused")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "unknown"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": f"{REDIRECT}/"},
        {"redirect_uri": f"{REDIRECT}?next=evil"},
    ],
)
def test_nothing_is_sent_to_a_place_that_is_not_registered(smart: Smart, changes: dict[str, str | None]) -> None:
    answer = authorize(smart, smart.launch(smart.sign_in(), TASK), **changes)
    assert answer.status_code in (400, 401)
    assert "Location" not in answer.headers
    assert answer.get_json()["error"] in ("invalid_client", "invalid_request")


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@161: a launch belongs to the EHR session it was made in")
def test_without_a_session_the_browser_is_sent_to_sign_in_and_comes_back_with_the_same_request(smart: Smart) -> None:
    launch = smart.launch(smart.sign_in(), TASK)
    smart.browser.delete_cookie("chartloop_ehr", domain="127.0.0.1")
    answer = authorize(smart, launch)
    assert answer.status_code == 303
    place = urlsplit(answer.headers["Location"])
    assert (place.netloc, place.path) == ("", "/login")
    following = parse_qs(place.query)["next"][0]
    assert following.startswith("/oauth/authorize?")
    assert parse_qs(urlsplit(following).query)["launch"] == [launch]
    by_form = authorize(smart, launch, "POST")
    assert by_form.status_code == 303
    assert by_form.headers["Location"].startswith("/oauth/authorize?")


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@161: a launch belongs to the EHR session it was made in")
@pytest.mark.conformance("Attacks", "99: missing or plain PKCE, a foreign aud, an invented or foreign launch are refused")
def test_the_launch_of_another_session_is_refused_and_stays_good_for_its_own(smart: Smart) -> None:
    launch = smart.launch(smart.sign_in(), TASK)
    own_cookie = smart.browser.get_cookie("chartloop_ehr", domain="127.0.0.1")
    assert own_cookie is not None
    smart.sign_in()
    assert back(authorize(smart, launch))["error"] == "invalid_request"
    smart.browser.set_cookie("chartloop_ehr", own_cookie.value, domain="127.0.0.1")
    assert "code" in back(authorize(smart, launch))


@pytest.mark.conformance("Attacks", "99: a launch is good once and for five minutes")
def test_a_launch_is_good_once(smart: Smart) -> None:
    launch = smart.launch(smart.sign_in(), TASK)
    assert "code" in back(authorize(smart, launch))
    assert back(authorize(smart, launch))["error"] == "invalid_request"


@pytest.mark.conformance("Attacks", "99: a launch is good once and for five minutes")
def test_an_old_launch_is_refused(smart: Smart, fake_clock: FakeClock) -> None:
    launch = smart.launch(smart.sign_in(), TASK)
    fake_clock.advance(301)
    assert back(authorize(smart, launch))["error"] == "invalid_request"


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@164: patient scopes need a patient in context")
def test_patient_scopes_need_a_patient_in_context(smart: Smart) -> None:
    session = smart.sign_in()
    scope = "launch patient/Observation.rs"
    assert back(authorize(smart, smart.launch(session, LaunchContext()), scope=scope))["error"] == "invalid_scope"
    assert "code" in back(authorize(smart, smart.launch(session, TASK), scope=scope))


@pytest.mark.conformance("Attacks", "99: a wrong exchange gives no token")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@31: the code verifier must be there and fit")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@69: the redirect address of the exchange is the one of the request")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": challenge(VERIFIER)}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": f"{REDIRECT}/"}, "invalid_grant"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"client_id": "unknown"}, "invalid_client"),
        ({"client_id": None}, "invalid_client"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_exchange_gives_no_token(smart: Smart, changes: dict[str, str | None], error: str) -> None:
    code = back(authorize(smart, smart.launch(smart.sign_in(), TASK)))["code"]
    answer = exchange(smart, code, **changes)
    assert answer.status_code in (400, 401)
    assert answer.get_json()["error"] == error
    assert smart.tokens.count() == 0


@pytest.mark.conformance("Attacks", "99: a code that is used twice revokes its token")
def test_a_code_is_good_once_and_its_second_use_revokes_the_first_token(smart: Smart) -> None:
    code = back(authorize(smart, smart.launch(smart.sign_in(), TASK)))["code"]
    token = exchange(smart, code).get_json()["access_token"]
    assert smart.tokens.subject_of(token) is not None
    again = exchange(smart, code)
    assert again.status_code == 400
    assert again.get_json()["error"] == "invalid_grant"
    assert smart.tokens.subject_of(token) is None


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@58: an authorization code ends after a minute")
def test_an_old_code_is_refused(smart: Smart, fake_clock: FakeClock) -> None:
    code = back(authorize(smart, smart.launch(smart.sign_in(), TASK)))["code"]
    fake_clock.advance(61)
    assert exchange(smart, code).get_json()["error"] == "invalid_grant"


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@17: only registered origins may read the token endpoint")
@pytest.mark.conformance("Attacks", "100: a foreign or null origin gets no CORS permission")
def test_only_registered_origins_may_read_the_token_endpoint(smart: Smart) -> None:
    for method in ("OPTIONS", "POST"):
        ours = smart.browser.open("/oauth/token", method=method, base_url=ROOT, headers={"Origin": APP.origins[0]})
        assert ours.headers["Access-Control-Allow-Origin"] == APP.origins[0]
        theirs = smart.browser.open("/oauth/token", method=method, base_url=ROOT, headers={"Origin": "null"})
        assert "Access-Control-Allow-Origin" not in theirs.headers
        assert theirs.headers["Vary"] == "Origin"


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@392: the revocation endpoint ends a token")
def test_an_app_ends_its_own_token(smart: Smart) -> None:
    token = granted(smart)["access_token"]
    form = {"token": token, "client_id": APP.client_id}
    assert smart.browser.post("/oauth/revoke", data={"token": token}, base_url=ROOT).get_json()["error"] == "invalid_client"
    assert smart.tokens.subject_of(token) is not None
    assert smart.browser.post("/oauth/revoke", data=form, base_url=ROOT).status_code == 200
    assert smart.tokens.subject_of(token) is None
    assert smart.browser.post("/oauth/revoke", data={**form, "token": "unknown"}, base_url=ROOT).status_code == 200
    assert smart.browser.post("/oauth/revoke", data={"client_id": APP.client_id}, base_url=ROOT).status_code == 400


@pytest.mark.conformance("SMART App Launch 2.2", "leaving the EHR ends the tokens of its apps")
def test_leaving_the_ehr_ends_the_tokens_of_its_apps(smart: Smart) -> None:
    token = granted(smart)["access_token"]
    cookie = smart.browser.get_cookie("chartloop_ehr", domain="127.0.0.1")
    assert cookie is not None
    smart.sessions.leave(cookie.value)
    assert smart.tokens.subject_of(token) is None


@pytest.mark.conformance("SMART App Launch 2.2", "a patient launches on no record but their own")
@pytest.mark.conformance("Attacks", "99: a patient cannot launch on another patient")
def test_a_patient_can_launch_on_no_record_but_their_own(smart: Smart) -> None:
    session = smart.sign_in(replace(PERSON, patient="Patient/me"))
    with pytest.raises(Forbidden):
        smart.launch(session, TASK)
    code = back(authorize(smart, smart.launch(session, LaunchContext(patient="me"))))["code"]
    subject = smart.tokens.subject_of(exchange(smart, code).get_json()["access_token"])
    assert subject is not None
    assert subject.patient == "Patient/me"
