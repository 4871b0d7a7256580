"""The researcher in a real browser: in by the EHR's link, from the tables to a row, and nowhere else."""

import threading
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from chartloop.app import open_door, open_kernel
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.config import load_settings
from chartloop.web import build_wsgi
from omop_bridge.database import open_cdm, open_lineage
from smart_apps.sessions import Sessions
from tests.integration.omop.rows import measurement, person, put
from tests.journeys.pages import expect, picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.long]
WATCH = "document.addEventListener('securitypolicyviolation', (event) => { window.violation = event.violatedDirective; });"


@pytest.fixture
def house(tmp_path):
    """A server with a small research database; gives its address and a way to make links into the EHR."""
    with open_kernel(load_settings({"data": tmp_path})) as kernel:
        cdm, lineage = open_cdm(kernel.settings.omop_url), open_lineage(kernel.settings.omop_lineage_url)
        person(cdm, 1, race_concept_id=8527, race_source_value="2106-3")
        put(cdm, "visit_occurrence", visit_occurrence_id=1, person_id=1, visit_concept_id=9202, visit_source_value="AMB", visit_type_concept_id=32827)
        measurement(cdm, 1, "8480-6", 3004249, value_as_number=148.0, unit_concept_id=8876, unit_source_value="mm[Hg]", visit_occurrence_id=1)
        for number in range(2, 80):
            measurement(cdm, number, "38208-5", value_as_number=float(number % 10))
        row = ("Observation", "o1", "component[0]", "measurement", 1, 1, 3)
        lineage.write(lambda tx: tx.run("INSERT INTO omop_row (type, id, key, cdm_table, row_id, person_id, version, live) VALUES (?, ?, ?, ?, ?, ?, ?, 1)", row))
        cdm.close()
        lineage.close()
        server = make_server("127.0.0.1", 0, build_wsgi(kernel, open_door(kernel).repository), threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"

        def link(role):
            subject = Subject("user:5", role, user="Practitioner/5", scopes=("user/*.rs",))
            return f"{base}/ehr/enter?ticket={Sessions(kernel.database).mint_ticket(subject, 'Rosa')}"

        yield base, link
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.conformance("OMOP", "A researcher in a browser: from the EHR's link to the tables, a row, and no way to the chart or to the lineage")
@pytest.mark.parametrize("width", [1280, 375])
def test_a_researcher_goes_from_the_link_to_a_row_and_not_to_the_chart(browser: "Browser", house, width):
    base, link = house
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(link("researcher"))
    expect(page).to_have_url(f"{base}/omop")
    page.get_by_role("link", name="measurement", exact=True).click()
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("row")).to_have_count(30)
    page.get_by_role("link", name="First page").click()
    page.get_by_role("link", name="1", exact=True).first.click()
    expect(page.get_by_text("Systolic blood pressure")).to_be_visible()
    expect(page.get_by_text("is not open to your role")).to_be_visible()
    page.wait_for_load_state()
    assert "Observation/o1" not in page.content()
    for path in ("/omop", "/omop/tables/measurement", "/omop/tables/measurement/1"):
        page.goto(base + path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert page.evaluate("window.violation") is None
        picture(page, f"omop-{width}{path.replace('/', '-')}", full=True)
    assert page.goto(f"{base}/ehr/patients").status in (200, 403)
    expect(page.get_by_role("row")).to_have_count(0)
    assert page.goto(f"{base}/fhir/Patient").status == 403  # signed in, and no right to any chart
    context.close()


def test_a_privacy_officer_sees_where_a_row_came_from(browser: "Browser", house):
    base, link = house
    context = browser.new_context()
    page = context.new_page()
    page.goto(link("privacy-officer"))
    page.goto(f"{base}/omop/tables/measurement/1")
    expect(page.get_by_text("Observation/o1")).to_be_visible()
    expect(page.get_by_text("component[0]")).to_be_visible()
    context.close()
