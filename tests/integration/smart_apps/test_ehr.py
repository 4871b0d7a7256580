"""The demo EHR over the real door and the policies that ship."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chartloop.kernel import auth
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from claims import tables as claims_tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server import tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from smart_apps.assembly import SmartSide, register_review_app, smart_side
from smart_apps.server.clients import Client, register
from smart_apps.server.launches import LaunchContext
from smart_apps.systems import BASE as PAGES_BASE
from tests.integration.smart_apps.chart import BASE, resources

ROOT = "http://127.0.0.1:8080"
APP = "http://127.0.0.1:8501"
CODER = Subject(id="user:7", role="coder", user="Practitioner/7", scopes=("user/*.cruds",))
BILLER = replace(CODER, id="user:8", role="billing-administrator", user="Practitioner/8")
OPERATOR = replace(CODER, id="user:0", role="operator", user="", scopes=("system/*.cruds",))


@pytest.fixture(scope="module")
def access() -> Access:
    """The policies that ship."""
    return Access()


@pytest.fixture
def side(database: Database, access: Access, tmp_path: Path) -> SmartSide:
    """Put everything together, with a chart in the store."""
    audit = Audit(tmp_path)
    store = open_store(database, access, audit, Outbox(TableBus(database), b"s" * 32), LabelService(), secret=b"k" * 32, base=f"{ROOT}/fhir")
    repository = Repository(store)
    entries = [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in resources()]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    repository.transaction(Scope(OPERATOR, "transaction"), json.dumps(bundle).encode())
    register_review_app(database, [APP], f"{ROOT}/fhir")
    return smart_side(database, repository, access, lambda text, limit: [("I10", f"Hypertension for {text}")][:limit], Audit(tmp_path), base_url=ROOT, keys=tmp_path / "keys")


@pytest.fixture
def browser(side: SmartSide) -> FlaskClient:
    """A browser that nobody entered with."""
    app = Flask(__name__)
    for part in side.blueprints:
        app.register_blueprint(part)
    return app.test_client()


Enter = Callable[[Subject], FlaskClient]


@pytest.fixture
def enter(side: SmartSide, browser: FlaskClient) -> Enter:
    """Enter as somebody."""

    def by_link(person: Subject) -> FlaskClient:
        answer = browser.get("/ehr/enter", query_string={"ticket": side.sessions.mint_ticket(person, "Ada <Coder>")})
        assert answer.status_code == 303
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        return browser

    return by_link


def page(browser: FlaskClient, path: str, status: int = 200) -> str:
    answer = browser.get(path)
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert "script" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"
    text = answer.get_data(as_text=True)
    assert "<script" not in text
    assert " style=" not in text
    return text


def csrf(text: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found is not None
    return found[1]


def test_nobody_enters_without_a_link_and_a_link_is_good_once(side: SmartSide, browser: FlaskClient) -> None:
    for path in ("/ehr/", "/ehr/work", "/ehr/patients", "/ehr/patients/p1", "/ehr/claims", "/ehr/claims/c1"):
        assert browser.get(path).status_code == 401
    ticket = side.sessions.mint_ticket(CODER, "Ada")
    assert browser.get("/ehr/enter", query_string={"ticket": ticket}).status_code == 303
    browser.delete_cookie("chartloop_ehr")
    assert browser.get("/ehr/enter", query_string={"ticket": ticket}).status_code == 401
    assert browser.get("/ehr/enter").status_code == 401


def test_a_coder_sees_the_work_list_and_a_billing_administrator_does_not(enter: Enter) -> None:
    assert enter(CODER).get("/ehr/").headers["Location"].endswith("/ehr/work")
    assert "Open in review app" in page(enter(CODER), "/ehr/work")
    home = enter(BILLER).get("/ehr/").headers["Location"]
    assert home.endswith("/ehr/patients")
    assert "Work list" not in page(enter(BILLER), home)
    assert "Nothing waits for review" in page(enter(BILLER), "/ehr/work")


def test_somebody_for_whom_no_page_is_made_is_told_so(enter: Enter) -> None:
    assert "Your role opens no page" in page(enter(replace(CODER, role="risk-engine", scopes=())), "/ehr/", 403)


@pytest.mark.conformance("The loop", "6 Access: the psychiatric note is on no page of who may not see it")
def test_the_psychiatric_note_is_on_no_page_of_those_who_may_not_see_it(enter: Enter) -> None:
    coder = page(enter(CODER), "/ehr/patients/p1")
    assert "Emergency department note" in coder
    assert "Psychiatry" not in coder
    assert "abandonment" not in coder
    billing = page(enter(BILLER), "/ehr/patients/p1")
    assert "Shortness of breath" not in billing
    assert "abandonment" not in billing
    psychiatric = page(enter(replace(CODER, role="psychiatric-clinician")), "/ehr/patients/p1")
    assert "abandonment" in psychiatric


@pytest.mark.conformance("The loop", "6 Access: the billing administrator reads the Claim with its codes")
def test_the_billing_administrator_reads_the_claim_with_its_codes_and_its_way_to_the_payment(enter: Enter) -> None:
    text = page(enter(BILLER), "/ehr/claims/c1")
    for shown in ("F32.1", "99213", "ME-000000001", "Paid as billed", "80.00 USD", "not yet"):
        assert shown in text, shown
    assert "F32.1" in page(enter(BILLER), "/ehr/claims")


def test_a_payer_sees_the_end_of_the_way_of_its_own_claims_alone(enter: Enter) -> None:
    payer = replace(CODER, role="payer", user="Organization/payer")
    text = page(enter(payer), "/ehr/claims/c1")
    assert "Coding review" not in text
    other = replace(CODER, role="payer", user="Organization/other")
    assert "Nothing here" in page(enter(other), "/ehr/claims/c1", 404)


def test_a_claim_that_is_not_visible_is_not_there(enter: Enter) -> None:
    assert "Nothing here" in page(enter(CODER), "/ehr/claims/unknown", 404)
    assert "Nothing here" in page(enter(CODER), "/ehr/patients/unknown", 404)


@pytest.mark.conformance("Attacks", "97: markdown and markup in data stay text in EHR pages and the review app")
def test_names_are_escaped_and_searched(enter: Enter) -> None:
    text = page(enter(CODER), "/ehr/patients?name=O%27Brien%22%3E%3Cb%3E")
    assert "No patient matches" in text
    assert "<b>" not in text.partition("<main>")[2].partition("</form>")[0]
    assert "Ada &lt;Coder&gt;" in text
    assert "Gęślą, Zażółć" in page(enter(CODER), "/ehr/patients?name=G%C4%99%C5%9Bl%C4%85")


def test_the_list_of_patients_has_pages(enter: Enter) -> None:
    first = page(enter(CODER), "/ehr/patients")
    found = re.search(r'href="(/ehr/patients\?page=[^"]+)"', first)
    assert found is not None
    second = page(enter(CODER), found[1].replace("&amp;", "&"))
    names = re.findall(r'href="/ehr/patients/([^"]+)"', first + second)
    assert len(names) == len(set(names)) == 31


def launch(browser: FlaskClient, **form: str) -> Any:
    text = page(browser, "/ehr/work")
    return browser.post("/ehr/launch", data={"csrf": csrf(text), "app": "chartloop-review", **form})


@pytest.mark.conformance("The loop", "4 Review: a coder opens the review app from the demo EHR page by an EHR launch")
def test_opening_a_task_launches_the_app_with_a_token_for_it(enter: Enter) -> None:
    answer = launch(enter(CODER), task="t1")
    assert answer.status_code == 303
    assert re.fullmatch(
        r"http://127\.0\.0\.1:8501/launch\?iss=http%3A%2F%2F127\.0\.0\.1%3A8080%2Ffhir&launch=[\w-]{43}", answer.headers["Location"]
    )
    assert "form-action 'self' http://127.0.0.1:8501" in answer.headers["Content-Security-Policy"]
    assert launch(enter(CODER)).status_code == 303


GROWTH = Client("growth", "Growth <chart>", ("https://app.example/",), "https://app.example/launch", "launch patient/Observation.rs")


@pytest.mark.conformance("Real clients", "an app that asks for a patient's chart is opened from the chart in the EHR, by those who treat")
def test_an_app_is_opened_from_a_chart_with_that_patient_as_its_context(enter: Enter, side: SmartSide, database: Database) -> None:
    for client in (GROWTH, replace(GROWTH, client_id="alone", name="Never offered", scope="launch/patient patient/Observation.rs"), replace(GROWTH, client_id="nowhere", launch_url="")):
        database.write(lambda tx, client=client: register(tx, client))  # type: ignore[misc]
    assert "Open in" not in page(enter(BILLER), "/ehr/patients/p1")
    browser = enter(replace(CODER, role="clinician"))
    text = page(browser, "/ehr/patients/p1")
    form = text.partition("Open in")[2].partition("</form>")[0]
    assert ("Growth &lt;chart&gt;" in form, text.count('action="/ehr/launch"')) == (True, 1)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    assert fields == {"csrf": csrf(text), "app": "growth", "patient": "p1"}
    address = browser.post("/ehr/launch", data=fields).headers["Location"]
    assert address.startswith("https://app.example/launch?iss=http%3A%2F%2F127.0.0.1%3A8080%2Ffhir&launch=")
    held = browser.get_cookie("chartloop_ehr")
    session = side.sessions.find(held.value if held else "")
    assert session is not None
    assert side.server.redeem(address.rpartition("=")[2], session, GROWTH) == LaunchContext(patient="p1")
    assert browser.post("/ehr/launch", data={**fields, "patient": "unknown"}).status_code == 404


@pytest.mark.conformance("Attacks", "100: a foreign form launches nothing and ends no session")
def test_nothing_is_launched_on_what_is_not_visible_or_by_a_foreign_form(enter: Enter) -> None:
    browser = enter(CODER)
    assert launch(browser, task="unknown").status_code == 404
    assert launch(browser, app="unknown").status_code == 404
    assert browser.post("/ehr/launch", data={"csrf": "guessed", "app": "chartloop-review", "task": "t1"}).status_code == 403
    assert browser.post("/ehr/leave").status_code == 403


def test_leaving_ends_the_session(enter: Enter) -> None:
    browser = enter(CODER)
    assert browser.post("/ehr/leave", data={"csrf": csrf(page(browser, "/ehr/work"))}).status_code == 200
    assert browser.get("/ehr/work").status_code == 401


def test_a_session_that_is_old_has_ended(fake_clock: FakeClock, enter: Enter) -> None:
    browser = enter(CODER)
    fake_clock.advance(8 * 3600 + 1)
    assert browser.get("/ehr/work").status_code == 401


def test_codes_are_found_by_whoever_holds_a_token(side: SmartSide, browser: FlaskClient, database: Database) -> None:
    token = database.write(lambda tx: auth.issue(tx, CODER))
    assert browser.get("/terminology/icd10cm?q=x").status_code == 401
    assert browser.get("/terminology/icd10cm?q=x", headers={"Authorization": f"Basic {token}"}).status_code == 401
    found = browser.get("/terminology/icd10cm?q=high+pressure", headers={"Authorization": f"Bearer {token}"})
    assert found.get_json() == {"codes": [{"code": "I10", "display": "Hypertension for high pressure"}]}


def test_the_pages_know_the_base_that_the_store_writes() -> None:
    assert BASE == PAGES_BASE
