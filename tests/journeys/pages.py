"""What every journey does with a page: enter the demo EHR as somebody, wait for what it shows, and keep a picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chartloop.demo.parts import Demo
from chartloop.demo.processes import command

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PATIENCE_MS = 30_000
PICTURES = Path(__file__).resolve().parents[2] / "build" / "screenshots"


def entered(page: "Page", demo: Demo, role: str) -> "Page":
    """Open the EHR by a one-time link of a role."""
    name = demo.person_of(role)["name"][0]
    arguments = ["ehr", "link", "--data", str(demo.data), "--role", role, "--user", demo.user_of(role), "--display", f"{name['given'][0]} {name['family']}"]
    page.goto(json.loads(command([*arguments, "--base-url", demo.server, "--json"]))["url"])
    return page


def expect(seen: "Locator | Page") -> Any:
    """Playwright's `expect`: what is said about the page may become true in half a minute.

    A click returns when the next page begins, and its end may still be on the way: `assert page.locator(…).count() == 30` asks too early on a
    machine that is busy. Imported here, because the tests are collected where no browser is installed.
    """
    from playwright.sync_api import expect as waiting

    waiting.set_options(timeout=PATIENCE_MS)
    return waiting(seen)


def picture(page: "Page", name: str, *, full: bool = False) -> None:
    """Keep what the page shows."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=full)
