"""A clinician in a real browser: chart, card beside it, and the explanation page that the card launches."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from chartloop.demo.fhir_client import FhirClient
from chartloop.demo.processes import Parts, command, free_port
from smart_apps.coder_app.settings import READY
from tests.journeys import pages, risk_chart
from tests.journeys.cds_double import CdsDouble, running
from tests.journeys.pages import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Page

pytestmark = [pytest.mark.browser, pytest.mark.long]
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def cds() -> Iterator[CdsDouble | None]:
    """The CDS service that the EHR asks: a double. None is the product's own service."""
    with running(CdsDouble()) as double:
        yield double


class Hospital:
    """The server and the apps as processes, with one patient and her stored estimate."""

    def __init__(self, parts: Parts, cds: CdsDouble | None) -> None:
        self.data = parts.data
        port, apps = free_port(0), free_port(0)
        self.server, self.apps = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{apps}"
        environment = {"CHARTLOOP_APPS__REVIEW_URL": self.apps, "CHARTLOOP_EHR__CDS_DEADLINE_S": "5", "CHARTLOOP_MLLP__PORT": str(free_port(0))}
        if cds is not None:
            cds.launch_url = f"{self.apps}/explain/launch"
            environment["CHARTLOOP_EHR__CDS_SERVICES"] = json.dumps([cds.base])
        parts.start("server", ["chartloop", "serve", "--data", str(self.data), "--port", str(port)], environment, ready=f"{self.server}/readyz")
        started = ["chartloop", "apps", "--data", str(self.data), "--port", str(apps), "--issuer", f"{self.server}/fhir"]
        parts.start("apps", started, environment, ready=f"{self.apps}{READY}")
        token = command(["token", "--data", str(self.data), "--role", "operator"]).strip()
        self.fhir = FhirClient(f"{self.server}/fhir", token)

    def link(self, role: str, user: str) -> str:
        """A link that opens the EHR once."""
        arguments = ["ehr", "link", "--data", str(self.data), "--role", role, "--user", user, "--display", "Dr. Ada Łoś", "--base-url", self.server, "--json"]
        return str(json.loads(command(arguments))["url"])


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, cds: CdsDouble | None) -> Iterator[Hospital]:
    with Parts(tmp_path_factory.mktemp("a hospital") / "data dir") as parts:
        started = Hospital(parts, cds)
        practitioner = {"resourceType": "Practitioner", "id": "ada", "name": [{"family": "Łoś", "given": ["Ada"]}]}
        for resource in (practitioner, *risk_chart.resources(), *risk_chart.versions()):
            written = started.fhir.request("PUT", f"{resource['resourceType']}/{resource['id']}", body=resource)
            assert written.status_code in (200, 201), written.text
        yield started


@pytest.fixture(params=[(1360, 850), (375, 780)], ids=["desktop", "phone"])
def page(browser: "Browser", request: pytest.FixtureRequest) -> Iterator["Page"]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def picture(page: "Page", name: str, *, full: bool = False) -> None:
    width = (page.viewport_size or {"width": 0})["width"]
    pages.picture(page, f"risk-{name}-{width}", full=full)


def opened_chart(page: "Page", hospital: Hospital) -> "FrameLocator":
    page.goto(hospital.link("clinician", "Practitioner/ada"))
    page.get_by_role("link", name="Lindqvist, Anna").click()
    page.get_by_role("heading", name="Vital signs").wait_for()
    return page.frame_locator("iframe.cards")


def fits(page: "Page") -> Any:
    """Whether nothing sticks out at the right."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.conformance("The loop", "A clinician, in headless Chromium: chart, card beside it, and from the card the explanation page with its waterfall")
@pytest.mark.conformance("Explanation page", "the page needs no script: the journey runs with JavaScript switched off")
def test_a_clinician_gets_from_the_chart_over_a_card_to_the_explanation(page: "Page", hospital: Hospital) -> None:
    frame = opened_chart(page, hospital)
    frame.get_by_role("heading", name="risk of stroke").wait_for()
    expect(page.locator(".clinical")).to_contain_text("158/92 mmHg")
    expect(frame.locator(".traffic")).to_contain_text("fhirAuthorization")
    expect(frame.locator(".traffic")).to_contain_text("••••")
    picture(page, "chart")
    picture(page, "chart-full", full=True)
    assert fits(page)
    frame.get_by_role("button", name="Explain this estimate").click()
    page.get_by_role("heading", name="10-year risk of stroke").wait_for()
    expect(page).to_have_url(f"{hospital.apps}/explain/")
    expect(page.locator("svg.waterfall rect.bar").nth(5)).to_be_visible()
    expect(page.locator("svg.trend .mark")).to_have_count(3)
    expect(page.locator(".banner")).to_contain_text("Lindqvist, Anna")
    picture(page, "explanation")
    picture(page, "explanation-full", full=True)
    assert fits(page)
    page.get_by_role("row", name="Systolic blood pressure").get_by_role("link").click()
    page.locator("#record-2").get_by_text("92 mmHg").wait_for()
    picture(page, "record")
    page.get_by_role("button", name="Back to the EHR").click()
    page.get_by_role("heading", name="Patients").wait_for()
    page.goto(f"{hospital.apps}/explain/")
    page.get_by_role("heading", name="Open this page from your EHR").wait_for()


@pytest.mark.conformance("The loop", "A clinician sets a card aside with a reason, and the service is told")
def test_a_card_is_set_aside_with_a_reason(page: "Page", hospital: Hospital, cds: CdsDouble | None) -> None:
    frame = opened_chart(page, hospital)
    frame.get_by_text("Set aside …").click()
    frame.locator(".override button").first.click()
    frame.get_by_text("The service was told").wait_for()
    picture(page, "feedback")
    if cds is not None:
        assert cds.feedback[-1]["feedback"][0]["outcome"] == "overridden"
    frame.get_by_role("link", name="Back to the cards").click()
    frame.get_by_role("heading", name="risk of stroke").wait_for()
