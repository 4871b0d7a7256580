"""The other half of the product in a real browser, with nothing but real parts: ORU and telemetry in, card, explanation, feedback, research."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from chartloop.demo.asking import predicted
from chartloop.demo.observing import patient_of, send_results, send_telemetry
from chartloop.demo.parts import Demo, start_parts, train_model
from chartloop.demo.processes import Parts
from chartloop.demo.researching import rows_of
from chartloop.demo.run import Options
from chartloop.demo.steps import Steps
from chartloop.demo.visiting import Visits, send_visits
from tests.journeys.pages import entered, expect, picture
from tests.unit.kernel.consumers import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Page

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(900)]
PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Visits]]:
    """The running parts, with results and readings of the day."""
    options = Options(tmp_path_factory.mktemp("a clinic") / "data dir", port=0, mllp_port=0, apps_port=0, payer_port=0, steps=Steps())
    with Parts(options.data) as parts:
        train_model(options, options.steps)
        demo = start_parts(parts, options, options.steps)
        visits = send_visits(demo, [], options.steps, options.seed)
        with options.steps.step("observations", "Results and readings") as counts:
            send_results(demo, visits.visits, counts, options.seed)
            send_telemetry(demo, visits.visits, counts, options.seed)
        yield demo, visits


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": 1360, "height": 850})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def cards(page: "Page", demo: Demo, patient: str) -> "FrameLocator":
    page.goto(f"{demo.server}/ehr/patients/{patient.removeprefix('Patient/')}")
    return page.frame_locator("iframe.cards")


@pytest.mark.conformance("The other half", "A clinician's journey in Chromium with real parts: ORU in, chart, card, explanation page, feedback")
def test_what_came_over_mllp_is_on_the_card_and_explained(page: "Page", clinic: tuple[Demo, Visits]) -> None:
    demo, visits = clinic
    clinician = demo.as_role("clinician")
    patients = [patient_of(clinician, visit) for visit in visits.visits[:12]]
    assert eventually(lambda: len(predicted(clinician, patients)) >= 5, timeout_s=120)
    patient = str(max(predicted(clinician, patients), key=lambda each: each["prediction"][0]["probabilityDecimal"])["subject"]["reference"])
    entered(page, demo, "clinician")
    frame = cards(page, demo, patient)
    frame.get_by_role("heading", name="10-year risk of stroke").first.wait_for()
    expect(frame.get_by_text("made-up people").first).to_be_attached()  # the trained model says where its labels came from
    expect(frame.get_by_text("In the model").first).to_be_visible()
    picture(page, "card")
    frame.get_by_text("Set aside …").first.click()
    frame.get_by_role("button", name="Already addressed").first.click()
    frame.get_by_text("Already addressed").first.wait_for()
    cards(page, demo, patient).get_by_role("button", name="How this was calculated").first.click()
    page.get_by_role("heading", name="10-year risk of stroke").wait_for()
    expect(page.locator("svg.waterfall rect.bar").nth(5)).to_be_visible()
    picture(page, "explanation", full=True)
    page.goto(f"{demo.server}/cds-services/models/prevent-stroke-10y")
    expect(page.locator("dl, table").first).to_be_visible()
    picture(page, "model-label")


@pytest.mark.conformance("The other half", "A researcher's journey in Chromium with real parts: tables that followed the chart, and no chart")
def test_a_researcher_finds_what_followed_and_no_chart(page: "Page", clinic: tuple[Demo, Visits]) -> None:
    demo, visits = clinic
    patient = patient_of(demo.as_role("clinician"), visits.visits[0])
    assert eventually(lambda: bool(rows_of(demo, patient)), timeout_s=120)
    entered(page, demo, "researcher")
    page.get_by_role("link", name="measurement").first.click()
    page.get_by_role("table").first.wait_for()
    picture(page, "research")
    assert page.goto(f"{demo.server}/ehr/patients/{patient.removeprefix('Patient/')}").status in (403, 404)
    expect(page.get_by_text(visits.visits[0].person.family)).to_have_count(0)
