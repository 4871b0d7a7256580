"""What an administrator does, and what it does at once; on both databases."""

import html
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from chartloop.cli.main import run
from chartloop.kernel import auth
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Invalid, Unauthenticated
from smart_apps.people.person import Person
from smart_apps.sessions import Sessions
from tests.integration.people.conftest import PASSWORD, ROOT, House, open_house
from tests.integration.people.soft_key import SoftKey

_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for each kind of database."""
    said = {}
    with ExitStack() as stack:
        if request.param == "postgresql":
            server = request.getfixturevalue("postgresql_server")
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute("create schema people_administration")
            said = {"database.url": f"{server}&options=-csearch_path%3Dpeople_administration"}
        yield open_house(stack, tmp_path_factory.mktemp("house"), **said)


@pytest.fixture
def ada(house: House) -> str:
    """Somebody new, with a password."""
    login = f"ada{next(_numbers)}"
    house.person(login)
    return login


def works(house: House, token: str) -> bool:
    try:
        with house.kernel.database.read() as db:
            auth.authenticate(db, token)
    except Unauthenticated:
        return False
    return True


@pytest.mark.conformance("People", "disabling a person ends sessions and tokens at once")
def test_disabling_ends_sessions_and_tokens_at_once(house: House) -> None:
    person, bob = house.person("ada"), house.person("bob")
    first, second = house.browser(), house.browser()
    assert first.log_in("ada").status_code == second.log_in("ada").status_code == 303
    other = house.browser()
    other.log_in("bob")
    tokens = house.kernel.database.write(lambda tx: [auth.issue(tx, person.subject(("user/*.rs",))), auth.issue(tx, bob.subject(("user/*.rs",)))])
    assert house.browser().log_in("ADA ").status_code == 303
    house.administration.disable("ada")
    assert [browser.get("/ehr/patients").status_code for browser in (first, second, other)] == [401, 401, 200]
    assert [works(house, token) for token in tokens] == [False, True]
    assert house.browser().log_in("ada").status_code == 401
    house.administration.enable("Ada")
    assert house.browser().log_in("ada").status_code == 303
    told = [(each["interaction"], each["reason"]) for each in house.recorded(person.holder)]
    assert ("user-created", "role billing-administrator") in told
    assert ("user-changed", "disabled") in told
    assert ("user-changed", "enabled") in told


def test_a_new_role_ends_what_held_the_old_one(house: House, ada: str) -> None:
    browser = house.browser()
    browser.log_in(ada)
    house.administration.change(ada, display="Ada Lovelace")
    assert browser.get("/ehr/patients").status_code == 200
    house.administration.change(ada, role="coder")
    assert browser.get("/ehr/patients").status_code == 401
    assert browser.log_in(ada, next_="/ehr/").status_code == 303
    assert browser.get("/ehr/").headers["Location"] == "/ehr/work"
    assert "Ada Lovelace" in browser.get("/ehr/work").get_data(as_text=True)


def test_a_voided_password_lets_nobody_in_and_ends_sessions(house: House, ada: str) -> None:
    browser = house.browser()
    browser.log_in(ada)
    house.administration.new_password(ada)
    assert browser.get("/ehr/patients").status_code == 401
    assert browser.log_in(ada).status_code == 401
    assert browser.log_in(ada, "").status_code == 401


def test_somebody_changes_their_password_and_ends_their_other_sessions(house: House, ada: str) -> None:
    here, there = house.browser(), house.browser()
    here.log_in(ada)
    there.log_in(ada)
    here.get("/account/password")
    assert here.post("/account/password", current="not this one", password="four brown bears", repeated="four brown bears").status_code == 401
    assert here.post("/account/password", current=PASSWORD, password="password1234", repeated="password1234").status_code == 400
    assert here.post("/account/password", current=PASSWORD, password="four brown bears", repeated="four brown bears").status_code == 303
    assert [browser.get("/ehr/patients").status_code for browser in (here, there)] == [200, 401]
    assert there.log_in(ada).status_code == 401
    assert there.log_in(ada, "four brown bears").status_code == 303
    here.get("/account/")
    session = [line for line in here.page.split('name="id" value="') if len(line) > 32][-1][:32]
    assert here.post("/account/sessions", id="0" * 32).status_code == 404
    here.get("/account/")
    assert here.post("/account/sessions", id=session).status_code == 303
    assert there.get("/ehr/patients").status_code == 401


def test_a_ticket_holder_has_no_account_and_no_way_into_one(house: House) -> None:
    ticket = Sessions(house.kernel.database).mint_ticket(Subject("user:Practitioner/1", "billing-administrator", scopes=("system/*.cruds",)), "Demo")
    browser = house.browser()
    assert browser.get("/ehr/enter", ticket=ticket).status_code == 303
    assert browser.get("/ehr/patients").status_code == 200
    assert browser.get("/account/").status_code == 403
    assert browser.get("/account/authenticator").status_code == 403
    assert [each["reason"] for each in house.recorded("user:Practitioner/1") if each["interaction"] == "login"] == ["one-time link"]


@pytest.mark.parametrize(
    "wrong",
    [{"role": "king"}, {"login": "no spaces"}, {"login": ""}, {"login": "x" * 101}, {"user": "7"}, {"patient": "Patient/1/../2"}, {"display": "two\nlines"}, {"display": " "}],
)
def test_somebody_who_could_not_be_is_refused(house: House, wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        house.administration.add(replace(Person("", f"zed{next(_numbers)}", "Zed", "coder"), **wrong))


def test_characters_that_no_database_takes_are_nobodys(house: House, ada: str) -> None:
    browser = house.browser()
    for odd in ("a\0b", "\u202e", "'; drop table person; --", "x" * 5000):
        assert browser.log_in(odd, "a\0wrong guess").status_code in (401, 429)
    browser = house.browser("192.0.2.99")
    assert browser.log_in(ada).status_code == 303
    browser.get("/account/")
    assert browser.post("/account/sessions", id="\0").status_code == 404


def test_a_reset_of_the_second_factor_lets_the_password_do_again(house: House, ada: str) -> None:
    browser = house.browser()
    browser.log_in(ada)
    key = SoftKey(ROOT)
    browser.get("/account/passkey")
    options = json.loads(html.unescape(browser.page.split('data-options="')[1].split('"')[0]))
    browser.post("/account/passkey", kept=browser.field("kept"), answer=key.make(options))
    assert house.browser().log_in(ada).headers["Location"] == "/login/second"
    house.administration.reset_second_factor(ada)
    assert browser.get("/account/").status_code == 401
    assert house.browser().log_in(ada).headers["Location"] == "/ehr/"


def chartloop(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run(list(arguments))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.long
@pytest.mark.conformance("People", "`chartloop auth users` manages people; a password is never printed, nor set by anybody else")
def test_the_commands_manage_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", str(tmp_path))
    assert chartloop(capsys, "auth", "users", "list", *data)[1] == "nobody yet: chartloop auth users add LOGIN --role ROLE\n"
    status, out, _ = chartloop(capsys, "auth", "users", "add", "Ada", "--role", "coder", "--display", "Ada Łoś", "--user", "Practitioner/7", "--json", *data)
    made = json.loads(out)
    assert status == 0
    assert made["link"].startswith("http://127.0.0.1:8080/login/link?key=")
    assert (made["login"], made["has_password"], made["status"]) == ("ada", False, "active")
    assert chartloop(capsys, "auth", "users", "add", "ADA", "--role", "coder", *data) == (1, "", "chartloop: This login is taken.\n")
    assert chartloop(capsys, "auth", "users", "disable", "zoe", *data) == (1, "", "chartloop: Nobody has this login.\n")
    assert chartloop(capsys, "auth", "users", "change", "ada", *data)[0] == 2
    assert chartloop(capsys, "auth", "users", "change", "ada", "--display", "Ada L.", *data)[1] == "ada changed\n"
    assert chartloop(capsys, "auth", "users", "disable", "ada", *data)[1] == "ada disabled; sessions and tokens have ended\n"
    assert "within 72 hours:\nhttp://" in chartloop(capsys, "auth", "users", "set-password", "ada", *data)[1]
    assert chartloop(capsys, "auth", "users", "sessions", "ada", *data)[1] == "no sessions\n"
    assert chartloop(capsys, "auth", "users", "end-sessions", "ada", *data)[1] == "ada: 0 sessions ended\n"
    assert chartloop(capsys, "auth", "users", "external", "ada", "sub-1", *data)[0] == 2
    assert chartloop(capsys, "auth", "users", "external", "ada", "sub-1", "--issuer", "https://id.example", *data)[0] == 0
    (listed,) = json.loads(chartloop(capsys, "auth", "users", "list", "--json", *data)[1])
    assert (listed["display"], listed["role"], listed["second_factor"], "password" in listed) == ("Ada L.", "coder", "no second factor", False)
    assert chartloop(capsys, "auth", "users", "list", *data)[1].split()[:3] == ["ada", "coder", "disabled"]


def test_the_roles_are_told_in_the_words_of_the_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roles = json.loads(chartloop(capsys, "auth", "roles", "--json", "--data", str(tmp_path))[1])
    assert "patients read their own record" in roles["patient"]
    assert "coder" in roles
    assert "research reads the omop tables" in roles["researcher"]
    assert "    patients read their own record\n" in chartloop(capsys, "auth", "roles", "--data", str(tmp_path))[1]
