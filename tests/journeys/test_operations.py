"""An operator in a real browser: the page as it is, a job paused and run, a dead letter retried and another dropped."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chartloop.app import open_kernel
from chartloop.demo.processes import Parts, command
from chartloop.engines import groups
from chartloop.kernel.broker import Failure
from chartloop.kernel.config import load_settings
from tests.journeys.pages import expect, picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CONSUMER = "dead-letter-tasks"


def give_up(data: Path, *subjects: str) -> list[str]:
    """Leave dead letters in a store whose server does not run yet."""
    with open_kernel(load_settings({"data": data})) as kernel:
        for name in (CONSUMER, "predictions"):
            kernel.bus.subscribe(next(group for group in groups() if group.name == name))
        for subject in subjects:
            kernel.database.write(lambda tx, subject=subject: kernel.outbox.publish(tx, "DeadLettered", subject, key=subject))
        kernel.database.write(lambda tx: kernel.outbox.publish(tx, "ResourceUpdated", "Observation/mrn-4711", key="Patient/1"))
        for name, reason in ((CONSUMER, "NotFound in 8 attempts"), ("predictions", "FeatureMismatch in 8 attempts")):
            for lease in kernel.bus.lease("test", {name: 100}, 30):
                for delivery in kernel.bus.deliveries(lease, 10):
                    kernel.bus.nack(lease, Failure(delivery, reason, None))
                kernel.bus.release(lease)
        return [letter.id for letter in kernel.dead_letters.list() if letter.consumer == CONSUMER]


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A page whose console stays silent: a strict policy refuses nothing of ours. Scripts are off: the page needs none."""
    context = browser.new_context(viewport={"width": 1360, "height": 1000}, java_script_enabled=False)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" and "Failed to load resource" not in said.text else None)
    yield page
    context.close()
    assert complaints == []


@pytest.mark.conformance("Operations", "an operator sees the page and decides on it in a browser, without scripts")
def test_an_operator_looks_after_the_system(tmp_path: Path, page: "Page") -> None:
    letters = give_up(tmp_path, "dead-letter/one", "dead-letter/two")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        port, mllp = one.getsockname()[1], two.getsockname()[1]
    root = f"http://127.0.0.1:{port}"
    said = {"CHARTLOOP_SERVER__PORT": str(port), "CHARTLOOP_MLLP__PORT": str(mllp), "CHARTLOOP_DATA": str(tmp_path)}
    with Parts(tmp_path) as parts:
        parts.start("serve", ["chartloop", "serve"], said, ready=f"{root}/readyz")
        link = json.loads(command(["ehr", "link", "--data", str(tmp_path), "--role", "system-operator", "--user", "Practitioner/9", "--display", "Nora Night", "--base-url", root, "--json"]))["url"]
        page.goto(link)
        expect(page).to_have_url(f"{root}/operations")
        status = page.locator("[role=status]")
        row = page.locator("tr", has=page.locator("td.mono", has_text="forget-events"))
        row.get_by_role("button", name="Pause").click()
        expect(status).to_have_text("The job rests until it is resumed.")
        expect(row).to_contain_text("paused")
        row.get_by_role("button", name="Run forget-events now").click()
        expect(status).to_contain_text("The job will be run")
        page.get_by_label(f"Retry dead letter {letters[0]}").click()
        expect(status).to_contain_text("try this event again")
        picture(page, "operations", full=True)
        dropped = page.locator("tr", has_text=letters[1])
        dropped.locator("summary").click()
        page.get_by_label(f"Drop dead letter {letters[1]} for good").click()
        expect(status).to_contain_text("The event was dropped")
        page.wait_for_load_state()
        expect(dropped).to_have_count(0)
        page.get_by_role("link", name="Refresh", exact=True).click()
        expect(status).to_have_count(0)
        for _ in range(40):
            page.reload()
            if "never" not in row.inner_text():
                break
            page.wait_for_timeout(250)
        expect(row).not_to_contain_text("never")  # a paused job runs when it is asked for
        assert not re.search(r"(?<!\d)4711", page.content())
        page.get_by_role("link", name="refresh every 15 s").click()
        expect(page.locator("meta[http-equiv=refresh]")).to_have_attribute("content", "15")
        picture(page, "operations-later")
        page.get_by_role("button", name="Leave").click()
        expect(page.locator("body")).to_contain_text("You have left the EHR.")
        page.goto(f"{root}/operations")
        expect(page.locator("body")).to_contain_text("Please enter")
