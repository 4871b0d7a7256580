"""The product in a real browser: demo EHR, launch, review, decision, and the claim that is paid for it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from chartloop.demo.parts import Demo, start_parts
from chartloop.demo.processes import Parts
from chartloop.demo.run import Options
from chartloop.demo.scripted_coder import OPEN_REVIEWS
from chartloop.demo.steps import Steps
from chartloop.demo.visiting import send_visits
from chartloop.kernel.clock import monotonic_s
from tests.journeys.pages import entered, expect, picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(900)]
PATIENCE_MS = 180_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The running parts, with visits whose uncertain codes wait for a person."""
    options = Options(tmp_path_factory.mktemp("a demo") / "data dir", port=0, mllp_port=0, apps_port=0, payer_port=0, steps=Steps())
    with Parts(options.data) as parts:
        started = start_parts(parts, options, options.steps)
        send_visits(started, [], options.steps, options.seed)
        yield started


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Any]:
    """Open pages with cookies of their own."""
    contexts: list[BrowserContext] = []

    def opened() -> "Page":
        context = browser.new_context(viewport={"width": 1360, "height": 850})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


def wait_for_review(demo: Demo) -> None:
    deadline = monotonic_s() + 180
    client = demo.as_role("coder")
    while client.total(OPEN_REVIEWS) == 0:
        assert monotonic_s() < deadline, "no review came up"


def _timeout() -> type[Exception]:
    from playwright.sync_api import TimeoutError as Late

    return Late


def decide_everything(page: "Page") -> None:
    """Accept with the keyboard until nothing waits; a key that comes while the page is busy may be lost."""
    for _ in range(60):
        if page.get_by_text(re.compile(r"no decision yet")).count() == 0:
            return
        before = page.get_by_text(re.compile(r"\d+ of \d+ decided")).first.inner_text()
        page.keyboard.press("a")
        with suppress(_timeout()):
            changed = "before => !document.body.innerText.includes(before)"
            page.wait_for_function(changed, arg=before.rpartition("· ")[2], timeout=10_000)
    pytest.fail("suggestions are still undecided")


def reviewed_claim(page: "Page") -> str:
    """Review the first Task of the work list; give the claim's patient control number when the payer has answered."""
    with page.expect_navigation():
        page.get_by_role("button", name="Open in review app", exact=True).first.click()
    page.locator("mark").first.wait_for()
    picture(page, "loop-review")
    decide_everything(page)
    page.get_by_text("Chart complete").click()
    page.get_by_role("button", name=re.compile("Submit decisions")).click()
    page.get_by_text("Your decisions were submitted.").wait_for()
    page.get_by_text("Released to the payer").wait_for()
    page.get_by_text(re.compile(r"Payer: (complete|partial|error)")).wait_for()
    picture(page, "loop-submitted")
    return page.get_by_text(re.compile(r"Payer: ")).first.inner_text()


@pytest.mark.conformance("The loop", "4 Review: in headless Chromium from the demo EHR over launch, review app and decision to the paid claim")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@352: an EHR launch from the demo EHR opens the review app in a browser")
@pytest.mark.conformance("Command line", "apps serves the review app, a SMART client")
def test_a_coder_decides_in_the_browser_and_the_claim_is_paid(demo: Demo, visit: Any) -> None:
    wait_for_review(demo)
    coder = entered(visit(), demo, "coder")
    coder.get_by_role("heading", name="Coding work list").wait_for()
    picture(coder, "loop-work-list")
    answer = ""
    for _ in range(3):  # a payer may refuse one by its seed
        answer = reviewed_claim(coder)
        if "error" not in answer:
            break
        coder.goto(f"{demo.server}/ehr/work")
    assert "error" not in answer
    claim = reviewed_task_claim(demo)

    biller = entered(visit(), demo, "billing-administrator")
    deadline = monotonic_s() + 60
    biller.goto(f"{demo.server}/ehr/claims/{claim}")
    while biller.locator("li.done", has_text="Payment").count() == 0:
        assert monotonic_s() < deadline, biller.locator(".trace").inner_text()
        biller.reload()
    expect(biller.locator("li.open")).to_have_count(0)
    picture(biller, "loop-paid")
    expect(biller.locator(".banner")).to_contain_text("Interchange")


def reviewed_task_claim(demo: Demo) -> str:
    """The claim of the review that was completed last."""
    found = demo.as_role("coder").get("Task?code=https://chartloop.example/fhir/CodeSystem/task|review-coding&status=completed&_sort=-_lastUpdated&_count=1")
    return str(found["entry"][0]["resource"]["focus"]["reference"]).removeprefix("Claim/")


@pytest.mark.conformance("What a new user does", "a link per kind of user opens that user's pages")
def test_each_kind_of_user_finds_the_pages_of_their_own(demo: Demo, visit: Any) -> None:
    for role, heading in (("clinician", "Patients"), ("psychiatric-clinician", "Patients"), ("behavioral-health-coder", "Coding work list"), ("billing-administrator", "Patients")):
        page = entered(visit(), demo, role)
        page.get_by_role("heading", name=heading).wait_for()
        picture(page, f"loop-{role}")
