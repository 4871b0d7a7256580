"""The review app in a real browser: launch, read, decide, submit, collide, leave."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smart_apps.coder_app.review import OUTPUT_SYSTEM
from tests.journeys import chart
from tests.journeys.pages import expect, picture
from tests.journeys.review_world import World, review_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.long]
SELECT = """(words) => {
  const walker = document.createTreeWalker(document.querySelector('.chartloop-note'), NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const at = text.data.indexOf(words);
    if (at < 0) continue;
    const range = document.createRange();
    range.setStart(text, at); range.setEnd(text, at + words.length);
    const box = range.getBoundingClientRect();
    return [box.left + 1, box.top + box.height / 2, box.right - 1];
  }
}"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with review_world(tmp_path) as started:
        yield started


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": 1360, "height": 850})
    context.set_default_timeout(90_000)
    opened = context.new_page()
    opened.on("pageerror", lambda error: pytest.fail(f"the page raised {error}"))
    yield opened
    context.close()


def launched(page: "Page", world: World, task: str = "t1") -> "Page":
    page.goto(f"{world.ehr}/go?task={task}")
    page.get_by_text("Suggested codes").wait_for()
    page.locator("mark.current").wait_for()
    return page


def card(page: "Page", text: str) -> None:
    page.locator("[class*=st-key-card-], [class*=st-key-current-]", has_text=text).first.wait_for()


@pytest.mark.conformance("The loop", "4 Review: highlighted evidence, accept, replace, reject, add a missed code from selected text, mark the chart complete")
def test_a_coder_reviews_a_chart_from_launch_to_submission(page: "Page", world: World) -> None:
    launched(page, world)
    assert "token" not in str(page.context.cookies()).lower().replace("_streamlit_xsrf", "")
    session = next(c for c in page.context.cookies() if c["name"] == "chartloop_review")
    assert session["httpOnly"]
    assert session["sameSite"] == "Lax"
    assert world.fhir.resources["Task/t1"]["owner"] == {"reference": "Practitioner/7"}
    expect(page.locator("mark.current")).to_have_text("Acute on chronic systolic heart failure")
    expect(page.locator(".chartloop-note")).to_have_js_property("textContent", chart.NOTE)
    expect(page.locator(".chartloop-note b")).to_have_count(0)  # markup in a note stays text
    picture(page, "review")

    page.keyboard.press("a")
    card(page, "Accepted")
    page.keyboard.press("e")
    page.get_by_label("Right code (number or words)").fill("I11.0")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Use I11.0 instead").click()
    card(page, "Replaced by I11.0")
    page.locator("mark", has_text="Pneumonia").click()
    page.keyboard.press("x")
    page.get_by_text("Ruled out or negated").click()
    card(page, "Rejected")

    left, middle, right = page.evaluate(SELECT, "Former smoker")
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(right, middle, steps=4)
    page.mouse.up()
    page.get_by_text("Evidence: “Former smoker”").wait_for()
    page.get_by_label("Code (number or words)", exact=True).fill("nicotine")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Add Z87.891").click()
    page.get_by_text("added by you").wait_for()

    page.reload()  # what was decided survives
    page.get_by_text("3 of 4 decided").first.wait_for()
    page.get_by_text("Chart complete").click()
    picture(page, "decided")
    page.get_by_role("button", name=re.compile("Submit decisions")).click()
    page.get_by_text("Your decisions were submitted.").wait_for()
    page.get_by_text("Draft: it waits").wait_for()
    picture(page, "submitted")
    _check_output(world)

    page.get_by_role("button", name="Leave").click()
    page.get_by_role("heading", name="EHR").wait_for()
    page.goto(world.app)
    page.get_by_text("Open this app from your EHR").wait_for()
    picture(page, "closed")


def _check_output(world: World) -> None:
    stored = world.fhir.resources["Task/t1"]
    assert stored["status"] == "completed"
    assert [match for _, match in world.fhir.writes] == ['W/"1"', 'W/"2"']
    kinds = {o["type"]["coding"][0]["code"]: o for o in stored["output"]}
    assert all(o["type"]["coding"][0]["system"] == OUTPUT_SYSTEM for o in stored["output"])
    assert kinds["accept"]["valueCoding"]["code"] == "I50.23"
    assert kinds["replace"]["valueCoding"]["code"] == "I11.0"
    assert kinds["reject"]["valueCoding"]["code"] == "J18.9"
    assert kinds["chart-complete"]["valueBoolean"] is True
    facts = {f["url"]: f for f in kinds["add"]["extension"][0]["extension"]}
    start, end = facts["start"]["valueUnsignedInt"], facts["end"]["valueUnsignedInt"]
    assert chart.NOTE[start:end] == "Former smoker"


@pytest.mark.conformance("Review app", "a change by somebody else is announced, and nothing is overwritten")
def test_somebody_else_who_changes_the_task_is_announced_and_nothing_is_overwritten(page: "Page", world: World) -> None:
    launched(page, world)
    page.keyboard.press("a")
    card(page, "Accepted")
    world.fhir.put({**world.fhir.resources["Task/t1"], "priority": "urgent"})
    page.get_by_role("button", name=re.compile("Submit decisions")).click()
    page.get_by_text("Somebody else changed this task").wait_for()
    picture(page, "changed")
    assert world.fhir.resources["Task/t1"]["status"] == "in-progress"
    page.get_by_role("button", name="Load it as it is now").click()
    page.get_by_text("Somebody else changed this task").wait_for(state="detached")
    page.get_by_text("1 of 4 decided").first.wait_for()
    page.get_by_role("button", name=re.compile("Submit decisions")).click()
    page.get_by_text("Your decisions were submitted.").wait_for()
    assert world.fhir.resources["Task/t1"]["priority"] == "urgent"


def test_the_queue_leads_to_tasks_and_takes_them_back(page: "Page", world: World) -> None:
    world.fhir.put({**chart.task("t2"), "status": "in-progress", "owner": {"reference": "Practitioner/8"}})
    page.goto(f"{world.ehr}/go")
    page.get_by_text("Waiting (1)").wait_for()
    picture(page, "queue")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("Suggested codes").wait_for()
    page.get_by_role("button", name="Give back to the queue").click()
    page.get_by_text("Waiting (1)").wait_for()
    assert "owner" not in world.fhir.resources["Task/t1"]


def test_a_task_in_other_hands_can_be_read_and_not_decided(page: "Page", world: World) -> None:
    world.fhir.put({**chart.task(), "status": "in-progress", "owner": {"reference": "Practitioner/8"}})
    launched(page, world)
    page.get_by_text("Somebody else works on this task").wait_for()
    expect(page.get_by_role("button", name=re.compile("Submit decisions"))).to_be_disabled()
    assert world.fhir.writes == []


@pytest.mark.conformance("Review app", "nobody gets in without a launch")
def test_nobody_gets_in_without_a_launch(page: "Page", world: World) -> None:
    page.goto(world.app)
    page.get_by_text("Open this app from your EHR").wait_for()
    page.goto(f"{world.app}/launch?iss=https://evil.example/fhir&launch=x")
    page.get_by_text("This EHR is not registered with the app.").wait_for()
    page.goto(f"{world.app}/callback?state=made-up&code=made-up")
    page.get_by_text("belongs to no launch of this browser").wait_for()
