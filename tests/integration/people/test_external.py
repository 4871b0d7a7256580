"""Logging in by an external OpenID provider, against one that runs."""

import itertools
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.test import TestResponse

from chartloop.kernel.clock import now_us
from tests.integration.people.conftest import Browser, House, Opened
from tests.integration.people.openid_double import CLIENT, SECRET, OpenId, serving

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def running() -> Iterator[OpenId]:
    with serving() as provider:
        yield provider


@pytest.fixture
def provider(running: OpenId) -> OpenId:
    """The provider, honest again."""
    running.claims, running.forge, running.metadata = {}, None, {}
    return running


def settings(provider: OpenId, **more: str) -> dict[str, object]:
    said = {"issuer": provider.issuer, "client_id": CLIENT, "client_secret": SECRET, "label": "St. Mary's", **more}
    return {"egress.allow_private": True, **{f"auth.oidc.{name}": value for name, value in said.items()}}


@pytest.fixture(scope="module")
def house(opened: Opened, running: OpenId) -> House:
    """A house that knows the provider, and people by registered identities alone."""
    return opened(**settings(running))


@pytest.fixture(scope="module")
def by_claim(opened: Opened, running: OpenId) -> House:
    """A house where a claim names people, and adds those who are new."""
    return opened(**settings(running, claim="preferred_username", create_role="billing-administrator"))


def over(browser: Browser, provider: OpenId, next_: str = "/ehr/patients") -> TestResponse:
    """Go to the provider and back."""
    away = browser.get("/login/external", next=next_)
    assert away.status_code == 303
    asked = dict(parse_qsl(urlsplit(away.headers["Location"]).query))
    assert away.headers["Location"].startswith(f"{provider.issuer}/authorize?")
    assert asked["code_challenge_method"] == "S256"
    back = urlsplit(provider.authorize(asked))
    return browser.get(f"{back.path}?{back.query}")


@pytest.mark.conformance("People", "a person logs in by an external OpenID provider, known by a registered identity")
def test_a_registered_identity_logs_in(house: House, provider: OpenId) -> None:
    house.person("ext-ada")
    house.administration.external("ext-ada", provider.issuer, "sub-of-ada")
    provider.claims = {"sub": "sub-of-ada"}
    browser = house.browser()
    assert "Sign in with St. Mary&#39;s" in browser.get("/login").get_data(as_text=True)
    answer = over(browser, provider)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ehr/patients")
    assert browser.get("/ehr/patients").status_code == 200
    assert house.recorded()[-1]["interaction"] != "login-failed"
    assert "OpenID provider; from 192.0.2.7" in [each["reason"] for each in house.recorded() if each["interaction"] == "login"]


@pytest.mark.conformance("People", "nobody is let in or added by guess: an identity that is not registered is refused")
def test_somebody_unknown_is_refused_and_not_added(house: House, provider: OpenId) -> None:
    house.person("ext-bob")
    provider.claims = {"sub": "stranger", "preferred_username": "ext-bob", "email": "ext-bob", "email_verified": True, "name": "Ext-Bob"}
    browser = house.browser()
    assert over(browser, provider).status_code == 401
    assert browser.cookie("chartloop_ehr") == ""
    assert house.recorded()[-1]["reason"].startswith("nobody has this external identity")


LIES: dict[str, Callable[[OpenId], object]] = {
    "another issuer": lambda p: p.claims.update(iss="https://evil.example"),
    "another audience": lambda p: p.claims.update(aud="somebody-else"),
    "one of several audiences without azp": lambda p: p.claims.update(aud=[CLIENT, "other"]),
    "another azp": lambda p: p.claims.update(azp="other"),
    "expired": lambda p: p.claims.update(exp=now_us() // 1_000_000 - 61),
    "no expiry": lambda p: p.claims.update(exp=None),
    "issued tomorrow": lambda p: p.claims.update(iat=now_us() // 1_000_000 + 86_400),
    "not yet valid": lambda p: p.claims.update(nbf=now_us() // 1_000_000 + 600),
    "another nonce": lambda p: p.claims.update(nonce="of another login"),
    "no nonce": lambda p: p.claims.update(nonce=None),
    "no subject": lambda p: p.claims.update(sub=None),
    "algorithm none": lambda p: setattr(p, "forge", p.unsigned),
    "HS256 with the public key": lambda p: setattr(p, "forge", p.signed_with_the_public_key),
    "a stranger's key in the header": lambda p: setattr(p, "forge", p.signed_by_another),
    "no token": lambda p: setattr(p, "forge", lambda claims: None),
    "no JWT": lambda p: setattr(p, "forge", lambda claims: "a.b.c"),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.conformance("People", "an id_token is verified: iss, aud, azp, exp, iat, nonce, algorithm, key")
def test_an_answer_that_does_not_hold_lets_nobody_in(house: House, provider: OpenId, lie: str) -> None:
    login = f"ext-{next(_numbers)}"
    house.person(login)
    house.administration.external(login, provider.issuer, login)
    provider.claims = {"sub": login}
    LIES[lie](provider)
    browser = house.browser()
    assert over(browser, provider).status_code == 401
    assert browser.cookie("chartloop_ehr") == ""
    assert house.recorded()[-1]["interaction"] == "login-failed"


@pytest.mark.conformance("People", "keys of the provider may rotate")
def test_a_new_key_of_the_provider_is_fetched_once_it_is_seen(house: House, provider: OpenId, monkeypatch: pytest.MonkeyPatch) -> None:
    house.person("ext-rotated")
    house.administration.external("ext-rotated", provider.issuer, "rotated")
    provider.claims = {"sub": "rotated"}
    assert over(house.browser(), provider).status_code == 303
    provider.rotate()
    assert over(house.browser(), provider).status_code == 401  # a stranger's kid may not make us ask all the time
    monkeypatch.setattr("smart_apps.people.provider.AGAIN_AFTER_S", 0)
    assert over(house.browser(), provider).status_code == 303
    asked = provider.calls.count("/jwks")
    assert over(house.browser(), provider).status_code == 303
    assert provider.calls.count("/jwks") == asked


def test_a_provider_that_says_who_answers_must_say_so_in_each_answer(opened: Opened, provider: OpenId) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    house = opened(**settings(provider))
    house.person("ada")
    house.administration.external("ada", provider.issuer, "s-1")
    for said, status in (("", 401), ("&iss=https://evil.example", 401), (f"&iss={provider.issuer}", 303)):
        browser = house.browser()
        asked = dict(parse_qsl(urlsplit(browser.get("/login/external").headers["Location"]).query))
        back = urlsplit(provider.authorize(asked))
        assert browser.get(f"{back.path}?{back.query}{said}").status_code == status


def test_the_way_back_belongs_to_the_browser_that_left_and_is_good_once(house: House, provider: OpenId) -> None:
    house.person("ext-eve")
    house.administration.external("ext-eve", provider.issuer, "eve")
    provider.claims = {"sub": "eve"}
    eve, victim = house.browser(), house.browser()
    asked = dict(parse_qsl(urlsplit(eve.get("/login/external").headers["Location"]).query))
    back = urlsplit(provider.authorize(asked))
    victim.get("/login/external")
    assert victim.get(f"{back.path}?{back.query}").status_code == 401
    assert house.browser().get(f"{back.path}?{back.query}").status_code == 401
    assert eve.get(f"{back.path}?{back.query}").status_code == 303
    assert eve.get(f"{back.path}?{back.query}").status_code == 401
    for wrong in ({"error": "access_denied"}, {"code": "made up"}, {}):
        browser = house.browser()
        state = dict(parse_qsl(urlsplit(browser.get("/login/external").headers["Location"]).query))["state"]
        assert browser.get("/login/external/callback", state=state, **wrong).status_code in (401, 503)


@pytest.mark.conformance("People", "a claim names people only where a setting says so; the first login binds the provider's subject")
def test_a_claim_names_people_and_binds_their_subject(by_claim: House, provider: OpenId) -> None:
    by_claim.person("grace", display="Grace")
    provider.claims = {"sub": "g-1", "preferred_username": "GRACE"}
    assert over(by_claim.browser(), provider).status_code == 303
    provider.claims = {"sub": "g-2", "preferred_username": "grace"}
    assert over(by_claim.browser(), provider).status_code == 401  # the name was given to somebody else there
    provider.claims = {"sub": "g-1", "preferred_username": "renamed"}
    assert over(by_claim.browser(), provider).status_code == 303
    by_claim.administration.disable("grace")
    assert over(by_claim.browser(), provider).status_code == 401


def test_a_setting_adds_who_comes_for_the_first_time(by_claim: House, provider: OpenId) -> None:
    provider.claims = {"sub": "n-1", "preferred_username": "newcomer@example.org", "name": "New Comer"}
    browser = by_claim.browser()
    assert over(browser, provider).status_code == 303
    assert "New Comer" in browser.get("/ehr/patients").get_data(as_text=True)
    assert ("user-created", "came from the OpenID provider for the first time") in [(each["interaction"], each["reason"]) for each in by_claim.recorded()]
    provider.claims = {"sub": "n-2", "preferred_username": "no login <script>"}
    assert over(by_claim.browser(), provider).status_code == 401


@pytest.mark.conformance("Attacks", "96: a provider in a private network is not called")
@pytest.mark.conformance("People", "a provider in a private network is not called unless a setting allows it")
def test_a_provider_in_a_private_network_is_not_called(opened: Opened, provider: OpenId) -> None:
    house = opened(**{**settings(provider), "egress.allow_private": False})
    provider.calls.clear()
    assert house.browser().get("/login/external").status_code == 403
    assert provider.calls == []


def test_without_a_provider_there_is_nothing(opened: Opened) -> None:
    assert opened().browser().get("/login/external").status_code == 404
