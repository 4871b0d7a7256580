"""Second factors over HTTP: authenticator codes, passkeys, recovery codes, and who must have one."""

import base64
import html
import itertools
import json
import re
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from werkzeug.test import TestResponse

from chartloop.kernel.clock import FakeClock, now_us
from smart_apps.people import totp as product
from tests.integration.people.conftest import PASSWORD, ROOT, Browser, House, Opened
from tests.integration.people.soft_key import SoftKey

_numbers = itertools.count(1)


@pytest.fixture
def login(house: House) -> str:
    login = f"sam{next(_numbers)}"
    house.person(login)
    return login


def code(secret: bytes, after_s: int = 0) -> str:
    """What an authenticator app shows: an implementation that is not ours."""
    return TOTP(secret, 6, SHA1(), 30).generate(now_us() // 1_000_000 + after_s).decode()


def app_of(browser: Browser, login: str) -> tuple[bytes, list[str]]:
    """Log in, set up an authenticator app from what the page says, and keep the recovery codes."""
    browser.log_in(login)
    return set_up(browser)


def set_up(browser: Browser) -> tuple[bytes, list[str]]:
    browser.get("/account/authenticator")
    words = re.search(r'<p class="mono">([A-Z2-7 ]+)</p>', browser.page)
    assert words is not None
    secret = base64.b32decode(words[1].replace(" ", ""))
    answer = browser.post("/account/authenticator", kept=browser.field("kept"), code=code(secret))
    assert answer.status_code == 200, browser.page
    return secret, re.findall(r"<li>([a-z0-9-]+)</li>", browser.page)


def options(browser: Browser) -> dict[str, object]:
    found = re.search(r'data-options="([^"]+)"', browser.page)
    assert found is not None, browser.page
    return json.loads(html.unescape(found[1]))


def add_key(browser: Browser, key: SoftKey) -> TestResponse:
    browser.get("/account/passkey")
    return browser.post("/account/passkey", kept=browser.field("kept"), name="Ward laptop", answer=key.make(options(browser)))


@pytest.mark.conformance("People", "an authenticator code (RFC 6238) is asked after the password; each time step is good once")
def test_a_code_of_the_authenticator_app_is_asked_for_and_good_once(house: House, login: str, clock: FakeClock) -> None:
    secret, _ = app_of(house.browser(), login)
    clock.advance(60)
    browser = house.browser()
    answer = browser.log_in(login, next_="/ehr/patients")
    assert answer.headers["Location"] == "/login/second"
    assert browser.get("/ehr/patients").status_code == 401
    assert browser.get("/account/").status_code == 401
    browser.get("/login/second")
    assert browser.post("/login/second", kind="totp", answer="000000").status_code == 401
    now = code(secret)
    answer = browser.post("/login/second", kind="totp", answer=f"{now[:3]} {now[3:]}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ehr/patients")
    again = house.browser()
    again.log_in(login)
    again.get("/login/second")
    assert again.post("/login/second", kind="totp", answer=now).status_code == 401
    clock.advance(30)
    assert again.post("/login/second", kind="totp", answer=code(secret, after_s=30)).status_code == 303  # a clock that is half a minute ahead


def test_the_code_that_set_the_app_up_is_spent_and_old_ones_are_too_old(house: House, login: str, clock: FakeClock) -> None:
    secret, _ = app_of(house.browser(), login)
    browser = house.browser()
    browser.log_in(login)
    browser.get("/login/second")
    for old in (code(secret), code(secret, -30), code(secret, -60), "", "12345", "1234567", "١٢٣٤٥٦"):
        browser.log_in(login)
        browser.get("/login/second")
        assert browser.post("/login/second", kind="totp", answer=old).status_code in (401, 429)


@pytest.mark.conformance("People", "recovery codes are hashes, and each works once")
def test_a_recovery_code_works_once_and_stands_nowhere(house: House, login: str) -> None:
    _, codes = app_of(house.browser(), login)
    assert len(set(codes)) == 10
    assert "10 recovery codes" not in str(codes)
    browser = house.browser()
    browser.log_in(login)
    browser.get("/login/second")
    assert browser.post("/login/second", kind="recovery", answer=codes[3].upper().replace("-", " ")).status_code == 303
    browser.log_in(login)
    browser = house.browser()
    browser.log_in(login)
    browser.get("/login/second")
    assert "9 are left" in browser.page
    assert browser.post("/login/second", kind="recovery", answer=codes[3]).status_code == 401
    with house.kernel.database.read() as db:
        assert not [one for one in codes if one.replace("-", "") in str(db.all("select * from person_recovery"))]


@pytest.mark.conformance("People", "a TOTP secret is sealed in its row, for one person")
def test_a_sealed_secret_of_one_person_opens_for_nobody_else(house: House, login: str, clock: FakeClock) -> None:
    secret, _ = app_of(house.browser(), login)
    other = f"{login}b"
    house.person(other)
    app_of(house.browser(), other)
    with house.kernel.database.read() as db:
        sealed = bytes((db.one("select sealed from person_totp where person = (select id from person where login = ?)", (login,)) or (b"",))[0])
    assert secret not in sealed
    house.kernel.database.write(lambda tx: tx.run("update person_totp set sealed = ? where person = (select id from person where login = ?)", (sealed, other)))
    browser = house.browser()
    browser.log_in(other)
    browser.get("/login/second")
    clock.advance(60)
    assert browser.post("/login/second", kind="totp", answer=code(secret)).status_code == 503


@pytest.mark.conformance("People", "a passkey answers this site and this challenge; its counter must move on")
def test_a_passkey_lets_in_and_a_copy_of_it_does_not(house: House, login: str) -> None:
    key, browser = SoftKey(ROOT), house.browser()
    browser.log_in(login)
    assert add_key(browser, key).status_code == 200
    assert "Recovery codes" in browser.page
    browser = house.browser()
    browser.log_in(login, next_="/ehr/claims")
    browser.get("/login/second")
    shown = key.show(options(browser), step=5)
    assert browser.post("/login/second", kind="passkey", answer=shown).headers["Location"] == "/ehr/claims"
    copy = replace(key, counter=2)
    for bad in (copy, replace(key, origin="https://evil.example"), replace(key, host="evil.example"), SoftKey(ROOT, id=key.id)):
        thief = house.browser()
        thief.log_in(login)
        thief.get("/login/second")
        assert thief.post("/login/second", kind="passkey", answer=bad.show(options(thief))).status_code in (401, 429)


def test_an_answer_to_another_challenge_is_refused(house: House, login: str) -> None:
    key, browser = SoftKey(ROOT), house.browser()
    browser.log_in(login)
    add_key(browser, key)
    browser = house.browser()
    browser.log_in(login)
    browser.get("/login/second")
    shown, first = key.show(options(browser)), options(browser)["challenge"]
    assert browser.post("/login/second", kind="totp", answer="000000").status_code == 401
    assert options(browser)["challenge"] != first
    assert browser.post("/login/second", kind="passkey", answer=shown).status_code == 401
    for junk in ("[" * 5000, "", "{}", "[]", "null", '{"id": 5}', '{"id": "AA"}', "x" * 70_000):
        browser.log_in(login)
        browser.get("/login/second")
        assert browser.post("/login/second", kind="passkey", answer=junk).status_code in (401, 429)


def test_a_passkey_of_one_person_lets_nobody_else_in(house: House, login: str) -> None:
    house.person(f"{login}b")
    mine, theirs = SoftKey(ROOT), SoftKey(ROOT)
    for name, key in ((login, mine), (f"{login}b", theirs)):
        browser = house.browser()
        browser.log_in(name)
        add_key(browser, key)
    assert "this passkey is known already" in _again(house, f"{login}c", mine).lower()
    browser = house.browser()
    browser.log_in(login)
    browser.get("/login/second")
    assert browser.post("/login/second", kind="passkey", answer=theirs.show(options(browser))).status_code == 401


def _again(house: House, login: str, key: SoftKey) -> str:
    house.person(login)
    browser = house.browser()
    browser.log_in(login)
    assert add_key(browser, key).status_code == 409
    return browser.page


def test_five_wrong_answers_end_the_half_done_login(house: House, login: str) -> None:
    app_of(house.browser(), login)
    browser = house.browser()
    browser.log_in(login)
    browser.get("/login/second")
    statuses = [browser.post("/login/second", kind="totp", answer="000000").status_code for _ in range(7)]
    assert set(statuses) <= {401, 429}
    assert browser.get("/login/second").status_code in (200, 401)
    assert browser.cookie("chartloop_ehr") == ""
    assert "lockout" in [each["interaction"] for each in house.recorded()]


@pytest.mark.conformance("People", "a setting makes a second factor a must: whoever has none sets one up before there is a session")
def test_a_role_that_needs_a_second_factor_sets_one_up_before_it_is_in(opened: Opened, clock: FakeClock) -> None:
    house = opened(**{"auth.second_factor_roles": ("billing-administrator",), "auth.second_factor_grace_h": 24})
    house.person("new")
    browser = house.browser()
    assert browser.log_in("new").headers["Location"] == "/ehr/"  # the grace
    clock.advance(25 * 3600)
    browser = house.browser()
    assert browser.log_in("new", next_="/ehr/claims").headers["Location"] == "/account/"
    assert browser.cookie("chartloop_ehr") == ""
    assert browser.get("/ehr/patients").status_code == 401
    assert "Your role needs a second factor" in browser.get("/account/").get_data(as_text=True)
    assert browser.get("/account/password").status_code == 403
    set_up(browser)
    assert 'href="/ehr/claims"' in browser.page
    assert browser.get("/ehr/patients").status_code == 200
    browser.get("/account/")
    assert browser.post("/account/remove", id="authenticator").status_code == 403
    house.person("clerk", role="coder")
    assert house.browser().log_in("clerk").headers["Location"] == "/ehr/"


@pytest.mark.conformance("People", "who knows the password alone cannot add a second factor beside one that was set up meanwhile")
def test_a_thief_who_waits_to_set_up_a_factor_comes_too_late(opened: Opened) -> None:
    house = opened(**{"auth.second_factor_roles": ("*",)})
    house.person("new")
    thief, owner = house.browser("198.51.100.1"), house.browser()
    assert thief.log_in("new").headers["Location"] == "/account/"
    thief.get("/account/authenticator")
    held = thief.field("kept")
    secret = base64.b32decode((re.search(r'<p class="mono">([A-Z2-7 ]+)</p>', thief.page) or ["", ""])[1].replace(" ", ""))
    assert thief.post("/account/sessions").status_code == 403
    thief.get("/account/authenticator")
    owner.log_in("new")
    set_up(owner)
    assert thief.post("/account/authenticator", kept=held, code=code(secret)).status_code == 401
    assert thief.get("/account/").status_code == 401
    assert thief.cookie("chartloop_ehr") == ""


def test_changing_how_one_signs_in_needs_a_login_of_a_moment_ago(house: House, login: str, clock: FakeClock) -> None:
    browser = house.browser()
    browser.log_in(login)
    clock.advance(901)
    assert browser.get("/account/authenticator").status_code == 401
    browser.get("/account/")
    assert "Sign in again" in browser.page
    for path in ("/account/authenticator", "/account/passkey", "/account/codes", "/account/remove"):
        assert browser.post(path).status_code == 401
    browser.get("/login", again="1")
    browser.post("/login", login=login, password=PASSWORD)
    assert browser.get("/account/authenticator").status_code == 200


def test_removing_the_last_factor_takes_the_recovery_codes_along(house: House, login: str) -> None:
    browser = house.browser()
    app_of(browser, login)
    browser.get("/account/")
    assert browser.post("/account/remove", id="ffff").status_code == 404
    browser.get("/account/")
    assert browser.post("/account/remove", id="zz").status_code == 404
    browser.get("/account/")
    assert browser.post("/account/remove", id="authenticator").status_code == 303
    assert house.browser().log_in(login).headers["Location"] == "/ehr/"
    told = [each["reason"] for each in house.recorded() if each["interaction"] == "user-changed"]
    assert {"set up an authenticator app; from 192.0.2.7", "removed the authenticator app; from 192.0.2.7"} <= set(told)


def test_the_codes_are_those_of_rfc_6238(clock: FakeClock) -> None:
    secret = b"12345678901234567890"
    for second, expected in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        clock.advance(second - now_us() / 1_000_000)
        assert product.step_of(secret, expected) == second // 30
        assert product.step_of(secret, "000001") is None
