"""The client's side of a launch, against an EHR that misbehaves in every way it can."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from smart_apps.client.launch import Launcher, LaunchError
from smart_apps.client.sessions import SessionStore
from smart_apps.coder_app.settings import review_app
from smart_apps.server.identity import Identity
from tests.integration.smart_apps.oauth_world import challenge

ISSUER = "https://ehr.example/fhir"
SETTINGS = review_app("https://app.example", (ISSUER,))


class Ehr:
    """An EHR whose answers a test can bend."""

    def __init__(self, folder):
        self.identity = Identity(folder)
        self.configuration = {
            "authorization_endpoint": "https://ehr.example/oauth/authorize",
            "token_endpoint": "https://ehr.example/oauth/token",
            "revocation_endpoint": "https://ehr.example/oauth/revoke",
            "code_search_endpoint": "https://ehr.example/terminology/icd10cm",
            "jwks_uri": "https://ehr.example/oauth/jwks",
            "code_challenge_methods_supported": ["S256"],
        }
        self.token_status = 200
        self.token = {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 60, "fhirContext": [{"reference": "Task/t1"}], "patient": "p1"}
        self.claims = {"fhirUser": f"{ISSUER}/Practitioner/7"}
        self.nonce = ""
        self.requests = []

    def answer(self, request):
        self.requests.append(request)
        if request.url.path.endswith("smart-configuration"):
            return httpx.Response(200, json=self.configuration)
        if request.url.path == "/oauth/jwks":
            return httpx.Response(200, json=self.identity.jwks())
        if request.url.path == "/oauth/token":
            claims = {"aud": SETTINGS.client_id, "nonce": self.nonce, **self.claims}
            return httpx.Response(self.token_status, json={"id_token": self.identity.sign(claims), **self.token})
        return httpx.Response(200)


@pytest.fixture
def ehr(tmp_path):
    return Ehr(tmp_path)


@pytest.fixture
def sessions():
    return SessionStore()


@pytest.fixture
def launcher(ehr, sessions):
    with httpx.Client(transport=httpx.MockTransport(ehr.answer)) as http:
        yield Launcher(SETTINGS, sessions, http)


def begun(launcher, ehr):
    query = {k: v[0] for k, v in parse_qs(urlsplit(launcher.begin(ISSUER, "l4unch", "browser")).query).items()}
    ehr.nonce = query["nonce"]
    return query


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@32: the app asks for a code")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@35: the app sends the launch it received")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@41: the app sends aud")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@45: the app sends S256")
def test_the_authorize_request_carries_everything_that_smart_wants(launcher, ehr):
    query = begun(launcher, ehr)
    assert query["aud"] == ISSUER
    assert query["launch"] == "l4unch"
    assert query["redirect_uri"] == "https://app.example/callback"
    assert query["code_challenge_method"] == "S256"
    assert query["response_type"] == "code"
    assert "user/Task.rus" in query["scope"].split()


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@70: the app sends the verifier of its challenge")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@13: the app uses PKCE")
def test_a_finished_launch_is_a_session_as_the_user_on_the_task(launcher, ehr, sessions):
    query = begun(launcher, ehr)
    found = sessions.find(launcher.finish(query["state"], "c0de", "browser"))
    assert (found.user, found.opened("Task"), found.patient, found.access_token) == ("Practitioner/7", "Task/t1", "p1", "t0ken")
    assert found.code_search == "https://ehr.example/terminology/icd10cm"
    sent = parse_qs(next(r for r in ehr.requests if r.url.path == "/oauth/token").content.decode())
    assert challenge(sent["code_verifier"][0]) == query["code_challenge"]
    assert sent["code"] == ["c0de"]
    launcher.revoke(found)
    assert ehr.requests[-1].content == b"token=t0ken&client_id=chartloop-review"


@pytest.mark.conformance("Attacks", "96: the app asks no issuer that is not registered")
@pytest.mark.conformance("Attacks", "99: an iss mix-up is refused by the app")
@pytest.mark.parametrize("issuer", ["https://evil.example/fhir", "", "https://ehr.example/fhir/../other"])
def test_an_ehr_that_is_not_registered_is_not_even_asked(launcher, ehr, issuer):
    with pytest.raises(LaunchError):
        launcher.begin(issuer, "l4unch", "browser")
    assert ehr.requests == []


@pytest.mark.conformance("SMART App Launch 2.2", "the app refuses a configuration that leads elsewhere or offers no S256")
@pytest.mark.parametrize(
    "bent",
    [
        {"code_challenge_methods_supported": ["plain"]},
        {"token_endpoint": "https://evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
def test_a_configuration_that_leads_elsewhere_is_refused(launcher, ehr, bent):
    ehr.configuration.update(bent)
    with pytest.raises(LaunchError):
        launcher.begin(ISSUER, "l4unch", "browser")


def test_a_code_search_elsewhere_is_not_used(launcher, ehr, sessions):
    ehr.configuration["code_search_endpoint"] = "https://evil.example/search"
    found = sessions.find(launcher.finish(begun(launcher, ehr)["state"], "c0de", "browser"))
    assert found.code_search == ""


def bend_token(ehr, name, value):
    ehr.token[name] = value


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@201: the app checks audience, nonce and signature of the id token")
@pytest.mark.parametrize(
    "bend",
    [
        lambda ehr: setattr(ehr, "token_status", 400),
        lambda ehr: bend_token(ehr, "access_token", ""),
        lambda ehr: bend_token(ehr, "token_type", "mac"),
        lambda ehr: bend_token(ehr, "id_token", "a.b.c"),
        lambda ehr: bend_token(ehr, "id_token", ""),
        lambda ehr: ehr.claims.update(aud="another-app"),
        lambda ehr: ehr.claims.update(nonce="another"),
        lambda ehr: ehr.claims.update(fhirUser=""),
    ],
)
def test_a_bad_answer_opens_no_session(launcher, ehr, sessions, bend):
    query = begun(launcher, ehr)
    bend(ehr)
    with pytest.raises(LaunchError):
        launcher.finish(query["state"], "c0de", "browser")
    assert sessions._sessions == {}


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@201: the app checks audience, nonce and signature of the id token")
@pytest.mark.conformance("Attacks", "98: an expired id token, or one under another key, is refused by the app")
def test_an_id_token_of_another_key_is_refused(launcher, ehr, tmp_path):
    query = begun(launcher, ehr)
    forged = Identity(tmp_path / "other").sign({"aud": SETTINGS.client_id, "nonce": ehr.nonce, "fhirUser": f"{ISSUER}/Practitioner/1"})
    ehr.token["id_token"] = forged
    with pytest.raises(LaunchError):
        launcher.finish(query["state"], "c0de", "browser")


@pytest.mark.conformance("Attacks", "98: an expired id token, or one under another key, is refused by the app")
def test_an_old_id_token_is_refused(launcher, ehr, fake_clock):
    ehr.token["id_token"] = ehr.identity.sign({"aud": SETTINGS.client_id, "nonce": "n", "fhirUser": f"{ISSUER}/Practitioner/7"})
    fake_clock.advance(200)
    state = begun(launcher, ehr)["state"]
    kept = launcher._sessions._pending
    kept.update({name: replace(pending, nonce="n") for name, pending in kept.items()})
    fake_clock.advance(150)
    with pytest.raises(LaunchError, match="not for this launch"):
        launcher.finish(state, "c0de", "browser")


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@60: the app refuses a state that it did not send")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@61: a state belongs to the browser session that began it")
@pytest.mark.conformance("Attacks", "99: an answer with a foreign state is refused by the app")
def test_an_answer_to_no_launch_is_refused(launcher, ehr):
    query = begun(launcher, ehr)
    for state, browser in (("made up", "browser"), (query["state"], "another browser")):
        with pytest.raises(LaunchError):
            launcher.finish(state, "c0de", browser)


def test_a_failed_revocation_is_not_an_error(sessions):
    def refuse(request):
        raise httpx.ConnectError("gone")

    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        failing = Launcher(SETTINGS, sessions, http)
        with pytest.raises(LaunchError):
            failing.begin(ISSUER, "l", "b")
        from tests.unit.smart_apps.test_app_sessions import AT_WORK

        failing.revoke(AT_WORK)
