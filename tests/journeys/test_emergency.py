"""A clinician breaks the glass in a real browser, without a script on any page, and the privacy officer finds it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from smart_apps.sessions import Sessions
from tests.integration.audit.conftest import House, house, operator
from tests.integration.smart_apps.test_emergency import hospital
from tests.journeys.pages import picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["hospital", "house", "operator"]

pytestmark = [pytest.mark.browser, pytest.mark.long]


@pytest.fixture
def root(hospital: House) -> Iterator[str]:
    """The product over HTTP."""
    server = make_server("127.0.0.1", 0, hospital.wsgi, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def signed_in(browser: "Browser", hospital: House, root: str, role: str, user: str) -> Iterator["Page"]:
    """Somebody's browser, with scripts switched off; its console stays silent."""
    sessions = Sessions(hospital.kernel.database)
    secret = sessions.enter(sessions.mint_ticket(hospital.subject(role, user), user.partition("/")[2].title()))
    context = browser.new_context(viewport={"width": 1200, "height": 820}, java_script_enabled=False)
    context.add_cookies([{"name": "chartloop_ehr", "value": secret, "url": root}])
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert complaints == []


@pytest.mark.conformance("Access", "break-glass page in a browser: the closed chart, the reason, the bar on every page, the end, and the privacy officer's finding")
def test_the_glass_is_broken_and_mended_in_a_browser(browser: "Browser", hospital: House, root: str) -> None:
    with signed_in(browser, hospital, root, "clinician", "Practitioner/mo") as page:
        page.goto(f"{root}/ehr/patients/full")
        page.wait_for_selector("text=This chart is closed to you")
        picture(page, "closed-chart")
        page.click("a:has-text('Open it in an emergency')")
        page.click("label:has-text('Emergency treatment')")
        page.fill("textarea", "Found unconscious in the hall.")
        picture(page, "emergency")
        page.click("button:has-text('Open the chart')")
        page.wait_for_selector("text=Psychiatry note")
        picture(page, "emergency-chart")
        page.goto(f"{root}/ehr/patients")
        picture(page, "emergency-elsewhere")
        page.click("a:has-text('A chart')")
        page.click("button:has-text('End now')")
        page.wait_for_selector("text=This chart is closed to you")
    hospital.sealer.seal()
    with signed_in(browser, hospital, root, "privacy-officer", "Practitioner/officer") as page:
        page.goto(f"{root}/privacy")
        page.wait_for_selector("text=ETREAT: Found unconscious in the hall.")
        picture(page, "emergency-found")
