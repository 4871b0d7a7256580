"""What every journey does with a page: enter the demo EHR as somebody, and keep a picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from chartloop.demo.parts import Demo
from chartloop.demo.processes import command

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).resolve().parents[2] / "build" / "screenshots"


def entered(page: "Page", demo: Demo, role: str) -> "Page":
    """Open the EHR by a one-time link of a role."""
    name = demo.person_of(role)["name"][0]
    arguments = ["ehr", "link", "--data", str(demo.data), "--role", role, "--user", demo.user_of(role), "--display", f"{name['given'][0]} {name['family']}"]
    page.goto(json.loads(command([*arguments, "--base-url", demo.server, "--json"]))["url"])
    return page


def picture(page: "Page", name: str, *, full: bool = False) -> None:
    """Keep what the page shows."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=full)
