"""Login and password over HTTP."""

import itertools
import re

import pytest

from chartloop.kernel.clock import FakeClock
from tests.integration.people.conftest import PASSWORD, House, Opened

_numbers = itertools.count(1)


@pytest.fixture
def login(house: House) -> str:
    """Somebody new, with a password."""
    login = f"ada{next(_numbers)}"
    house.person(login)
    return login


@pytest.mark.conformance("People", "a person logs in by login and password, and reaches the EHR's pages")
def test_a_person_logs_in_and_reaches_the_pages_of_the_ehr(house: House, login: str) -> None:
    browser = house.browser()
    assert browser.get("/ehr/patients").status_code == 401
    assert '<a class="button primary" href="/login?next=/ehr/patients">Sign in</a>' in browser.page
    answer = browser.log_in(login.upper(), next_="/ehr/patients")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ehr/patients")
    assert browser.get("/ehr/patients").status_code == 200
    assert browser.get("/login", next="/ehr/claims").headers["Location"] == "/ehr/claims"


@pytest.mark.conformance("People", "session cookies are HttpOnly and SameSite=Lax; another session is opened by each login")
def test_each_login_opens_a_new_session_and_ends_the_one_that_the_browser_brought(house: House, login: str) -> None:
    browser = house.browser()
    browser.client.set_cookie("chartloop_ehr", "chosen-by-somebody-else", domain="localhost")
    answer = browser.log_in(login)
    first = browser.cookie("chartloop_ehr")
    assert first != "chosen-by-somebody-else"
    set_cookie = next(value for value in answer.headers.getlist("Set-Cookie") if value.startswith("chartloop_ehr="))
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(set_cookie.split("; "))
    assert "Secure" not in set_cookie
    browser.get("/login", again="1")
    browser.post("/login", login=login, password=PASSWORD)
    assert browser.cookie("chartloop_ehr") != first
    stale = house.browser()
    stale.client.set_cookie("chartloop_ehr", first, domain="localhost")
    assert stale.get("/ehr/patients").status_code == 401


@pytest.mark.conformance("People", "an unknown login, a wrong password and somebody disabled get the same answer")
def test_an_unknown_login_a_wrong_password_and_somebody_disabled_get_the_same_answer(house: House, login: str) -> None:
    disabled = f"{login}x"
    house.person(disabled)
    house.administration.disable(disabled)
    seen = set()
    for typed, password in ((login, "wrong wrong wrong"), ("nobody-at-all", PASSWORD), (disabled, PASSWORD)):
        browser = house.browser("192.0.2.30")
        answer = browser.log_in(typed, password)
        headers = {name for name, _ in answer.headers}
        seen.add((answer.status_code, re.sub(r'value="[^"]{43}"', "", browser.page), tuple(sorted(headers))))
    assert len(seen) == 1
    assert "The login or the password is wrong." in browser.page


@pytest.mark.parametrize(
    "next_",
    ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example/", "javascript:alert(1)", "/\t/evil.example", "/\r\nSet-Cookie: a=b", "ehr", "http:/evil", " //evil.example"],
)
@pytest.mark.conformance("People", "after a login the browser goes to a path of this server or nowhere")
def test_a_login_leads_nowhere_else(house: House, login: str, next_: str) -> None:
    browser = house.browser()
    assert browser.get("/login", next=next_).status_code == 400
    assert f'value="{next_}"' not in browser.page
    browser.get("/login")
    assert browser.post("/login", login=login, password=PASSWORD, next=next_).status_code == 400
    assert browser.cookie("chartloop_ehr") == ""


@pytest.mark.conformance("Attacks", "100: a form of another browser is refused")
@pytest.mark.conformance("People", "a login form needs the token that this browser was given")
def test_a_form_of_another_browser_is_refused(house: House, login: str) -> None:
    stranger = house.browser()
    stranger.get("/login")
    browser = house.browser()
    assert browser.post("/login", csrf=stranger.field("csrf"), login=login, password=PASSWORD).status_code == 403
    browser.get("/login")
    assert browser.post("/login", csrf=stranger.field("csrf"), login=login, password=PASSWORD).status_code == 403
    assert browser.post("/login", csrf="", login=login, password=PASSWORD).status_code == 403
    assert browser.cookie("chartloop_ehr") == ""


def test_pages_of_the_login_keep_a_strict_policy(house: House) -> None:
    browser = house.browser()
    answer = browser.get("/login", next="/ehr/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'")
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "<script" not in browser.page
    assert " style=" not in browser.page


def test_the_way_back_to_an_app_is_open_for_registered_redirects_alone(house: House) -> None:
    good = "/oauth/authorize?client_id=chartloop-review&redirect_uri=http://127.0.0.1:8501/callback"
    with house.kernel.database.read() as db:
        client, uris = db.one("select client_id, redirect_uris from smart_client order by client_id limit 1") or ("", "")
    uri = re.findall(r'"([^"]+)"', uris)[0]
    origin = "/".join(uri.split("/")[:3])
    policy = house.browser().get("/login", next=f"/oauth/authorize?client_id={client}&redirect_uri={uri}").headers["Content-Security-Policy"]
    assert policy.endswith(f"form-action 'self' {origin}")
    for other in (good.replace("8501/callback", "6666/steal"), f"/oauth/authorize?client_id=x&redirect_uri={uri}", "/ehr/?redirect_uri=https://evil.example"):
        assert house.browser().get("/login", next=other).headers["Content-Security-Policy"].endswith("form-action 'self'")


@pytest.mark.conformance("People", "a logout needs the token of the session and ends it")
def test_leaving_ends_the_session(house: House, login: str) -> None:
    browser = house.browser()
    browser.log_in(login)
    secret = browser.cookie("chartloop_ehr")
    browser.get("/logout")
    assert browser.post("/logout", csrf="other").status_code == 403
    browser.get("/logout")
    assert browser.post("/logout").status_code == 200
    assert "You are signed out." in browser.page
    browser.client.set_cookie("chartloop_ehr", secret, domain="localhost")
    assert browser.get("/ehr/patients").status_code == 401


@pytest.mark.conformance("People", "sessions end after silence and after their lifetime")
def test_a_session_ends_after_silence_and_after_its_lifetime(house: House, login: str, clock: FakeClock) -> None:
    browser = house.browser()
    browser.log_in(login)
    for _ in range(8):
        clock.advance(3500)
        assert browser.get("/ehr/patients").status_code == 200
    clock.advance(801)
    assert browser.get("/ehr/patients").status_code == 401  # 28,801 seconds
    browser.log_in(login)
    clock.advance(3601)
    assert browser.get("/ehr/patients").status_code == 401


@pytest.mark.conformance("People", "every login, failure and logout is in the audit log, without what was typed")
def test_what_was_typed_is_in_no_record_row_or_log(house: House, login: str, capfd: pytest.CaptureFixture[str]) -> None:
    browser = house.browser()
    browser.log_in("hunter2hunter2 typed as login", "typed as password 1")
    browser.log_in(login, "typed as password 2")
    browser.log_in(login)
    browser.get("/logout")
    browser.post("/logout")
    records = house.recorded()
    mine = house.administration.database.one("select id from person where login = ?", (login,))
    told = [(each["interaction"], each["outcome"], each["reason"]) for each in records if each["subject"]["id"] == f"user:{mine[0]}"]
    assert told[-3:] == [
        ("login-failed", "4", "wrong password; from 192.0.2.7"),
        ("login", "0", "password; from 192.0.2.7"),
        ("logout", "0", "left"),
    ]
    unknown = [each for each in records if each["reason"].startswith("nobody has this login")]
    assert re.fullmatch(r"login:[0-9a-f]{32}", unknown[-1]["subject"]["id"])
    told = "".join(capfd.readouterr()) + str(records)
    kept = b"".join(path.read_bytes() for path in house.data.rglob("*") if path.is_file())
    assert b"login_throttle" in kept
    assert not [secret for secret in ("hunter2", "typed as", PASSWORD) if secret in told or secret.encode() in kept]


@pytest.mark.conformance("People", "over TLS cookies are Secure, and those of a login that is not done belong to this host alone (__Host-)")
def test_over_tls_cookies_are_secure(opened: Opened) -> None:
    house = opened(**{"server.base_url": "https://ehr.example"})
    house.person("ada")
    browser = house.browser()
    first = browser.get("/login").headers.getlist("Set-Cookie")
    cookies = first + browser.log_in("ada").headers.getlist("Set-Cookie")
    kept = {cookie.partition("=")[0]: cookie.split("; ") for cookie in cookies if "Max-Age=0" not in cookie}
    assert set(kept) == {"__Host-chartloop_login", "__Host-chartloop_device", "chartloop_ehr"}
    assert all({"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(said) and not any(part.startswith("Domain") for part in said) for said in kept.values())


@pytest.mark.conformance("Attacks", "100: a page that goes wrong tells nothing of the inside")
def test_a_page_that_goes_wrong_tells_nothing_of_the_inside(house: House) -> None:
    browser = house.browser()
    for path in ("/login/link", "/login/link?key=%00", "/login/second", "/account/", "/account/passkey", "/login/external", "/logout"):
        answer = browser.get(path)
        assert answer.status_code in (303, 401, 403, 404), path
        assert "Traceback" not in browser.page
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for path in ("/login", "/login/second", "/login/link", "/logout", "/account/password", "/account/authenticator", "/account/passkey", "/account/codes", "/account/remove", "/account/sessions"):
        assert browser.client.post(path, base_url=browser.root, data=b"\xff\x00", content_type="text/plain").status_code in (401, 403), path
