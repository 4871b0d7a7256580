"""Failed tries: waits that grow, end, and lock nobody out for ever."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database
from smart_apps.people import tables  # noqa: F401  (declares what the database fixture makes)
from smart_apps.people.person import Person
from smart_apps.people.sealing import Seal
from smart_apps.people.throttle import Throttle, network
from tests.integration.people.conftest import PASSWORD, House

_numbers = itertools.count(1)


@pytest.fixture
def login(house: House) -> str:
    login = f"kim{next(_numbers)}"
    house.person(login)
    return login


def guesses(house: House, login: str, count: int, address: str) -> list[int]:
    return [house.browser(address).log_in(login, "a wrong guess").status_code for _ in range(count)]


@pytest.mark.conformance("People", "failed tries make the next one wait, and longer each time")
def test_after_five_failures_even_the_right_password_waits(house: House, login: str, clock: FakeClock) -> None:
    assert guesses(house, login, 6, "198.51.100.1") == [401] * 5 + [429]
    browser = house.browser("198.51.100.1")
    assert browser.log_in(login).status_code == 429
    assert "Too many tries. The next one is looked at in 15 seconds." in browser.page
    clock.advance(15.1)
    assert guesses(house, login, 2, "198.51.100.1") == [401, 429]
    clock.advance(15.1)
    assert browser.log_in(login).status_code == 429  # 30 seconds now
    clock.advance(15.1)
    assert browser.log_in(login).status_code == 303
    assert guesses(house, login, 4, "198.51.100.1") == [401] * 4  # a right one forgets them
    told = [each["interaction"] for each in house.recorded() if each["interaction"] == "lockout"]
    assert told


def test_an_unknown_login_waits_just_as_a_known_one(house: House, clock: FakeClock) -> None:
    assert guesses(house, f"nobody{next(_numbers)}", 6, "198.51.100.2") == [401] * 5 + [429]


@pytest.mark.conformance("People", "nobody can lock a colleague out for ever: known browsers, a longest wait, and one-time links stay open")
def test_a_colleague_gets_in_while_somebody_guesses(house: House, login: str, clock: FakeClock) -> None:
    own = house.browser("203.0.113.9")
    assert own.log_in(login).status_code == 303
    own.get("/logout")
    own.post("/logout")
    for number in range(21):
        guesses(house, login, 1, f"198.51.100.{number + 10}")
    assert house.browser("203.0.113.77").log_in(login).status_code == 429
    assert own.log_in(login).status_code == 303
    _, secret = house.administration.new_password(login)
    browser = house.browser("203.0.113.79")
    browser.get("/login/link", key=secret)
    assert browser.post("/login/link", key=secret, password="four brown bears", repeated="four brown bears").status_code == 303
    assert browser.get("/ehr/patients").status_code == 200
    clock.advance(901)
    assert house.browser("203.0.113.78").log_in(login, "four brown bears").status_code == 303


def test_a_cookie_of_a_known_browser_is_good_for_its_own_login_alone(house: House, login: str, clock: FakeClock) -> None:
    own = house.browser("203.0.113.20")
    own.log_in(login)
    device = own.cookie("chartloop_device")
    other = f"{login}b"
    house.person(other)
    for forged in (device, f"{device[:-1]}x", "a.b", device.partition(".")[0]):
        thief = house.browser("203.0.113.21")
        thief.client.set_cookie("chartloop_device", forged, domain="localhost")
        thief.log_in(other, "a wrong guess")
    assert guesses(house, other, 2, "203.0.113.21") == [401, 429]


@pytest.mark.conformance("Attacks", "100: a caller cannot choose the address that is counted")
@pytest.mark.conformance("People", "X-Forwarded-For is believed as far as the settings trust proxies, and no further")
def test_a_caller_cannot_choose_the_address_that_is_counted(house: House, login: str, clock: FakeClock) -> None:
    statuses = []
    for number in range(6):
        browser = house.browser("198.51.100.200")
        browser.get("/login")
        form = {"csrf": browser.field("csrf"), "login": login, "password": "a wrong guess", "next": ""}
        answer = browser.client.post(
            "/login", base_url="http://localhost:8080", data=form, headers={"X-Forwarded-For": f"10.0.0.{number}"}, environ_base={"REMOTE_ADDR": "198.51.100.200"}
        )
        statuses.append(answer.status_code)
    assert statuses == [401] * 5 + [429]


def test_a_hundred_tries_at_once_are_counted_before_they_are_looked_at(database: Database, tmp_path) -> None:  # type: ignore[no-untyped-def]
    throttle = Throttle(Seal(tmp_path), 5, 900)
    buckets = throttle.strangers("ada", "192.0.2.1")
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: database.write(lambda tx: throttle.take(tx, buckets)), range(60)))
    assert sum(wait == 0 for wait in waits) == 5


def test_waits_double_and_end_at_the_longest(tmp_path) -> None:  # type: ignore[no-untyped-def]
    throttle = Throttle(Seal(tmp_path), 5, 900)
    assert [throttle.wait_s(over) for over in (0, 1, 2, 5, 6, 50)] == [15, 30, 60, 480, 900, 900]


def test_a_network_is_an_address_or_the_64_of_a_subscriber() -> None:
    assert network("192.0.2.1") == "192.0.2.1"
    assert network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("") == network("'; drop table") == "unknown"


@pytest.mark.conformance("People", "a password by a one-time link alone: used once, for a time, and looking does not use it")
def test_a_link_works_once(house: House, clock: FakeClock) -> None:
    made, secret = house.administration.add(Person("", f"leonardo{next(_numbers)}", "Leo", "coder"))
    browser = house.browser()
    assert browser.log_in(made.login, "").status_code == 401
    for _ in range(2):
        assert browser.get("/login/link", key=secret).status_code == 200
    for password, repeated, problem in (
        ("short", "short", "at least 12"), (PASSWORD, "another one again", "differ"), ("passwordpassword", "passwordpassword", "tried first"),
        ("abcdefghijklmn", "abcdefghijklmn", "counts up"), (f"{made.login}{made.login}{made.login}", f"{made.login}{made.login}{made.login}", "login or name"),
    ):  # fmt: skip
        assert browser.post("/login/link", key=secret, password=password, repeated=repeated).status_code == 400
        assert problem in browser.page
    assert browser.post("/login/link", key=secret, password=PASSWORD, repeated=PASSWORD).headers["Location"] == "/account/"
    other = house.browser()
    assert other.get("/login/link", key=secret).status_code == 401
    assert other.post("/login/link", key=secret, password=PASSWORD, repeated=PASSWORD).status_code == 401
    _, secret = house.administration.new_password(made.login)
    clock.advance(3601)
    assert house.browser().get("/login/link", key=secret).status_code == 401
    with house.kernel.database.read() as db:
        assert secret not in str(db.all("select * from person_link"))
