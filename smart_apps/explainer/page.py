"""Pages of the explanation: templates that escape everything, under a policy that allows no script."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent
SVG = ("waterfall", "trend")


@cache
def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["style"] = "style.css"
    return made


def style() -> str:
    """Give the style sheet."""
    return (_HERE / "style.css").read_text("utf-8")


def explanation(facts: dict[str, Any], csrf: str = "") -> str:
    """Write the page of one estimate, with the way out where there is a session to end; its drawings are markup of our own making, everything else is text."""
    drawn = {name: Markup(facts[name]) for name in SVG}  # noqa: S704 drawing.py escapes every text and attribute  # nosec B704
    return _environment().get_template("explanation.html").render({**facts, **drawn, "csrf": csrf})


def message(title: str, text: str, csrf: str = "") -> str:
    """Write a page that says one thing."""
    return _environment().get_template("message.html").render(title=title, text=text, csrf=csrf)


def headers(ancestors: Sequence[str]) -> dict[str, str]:
    """Give the headers of every page."""
    # A browser applies form-action to the redirect that follows a form: leaving leads back to the EHR.
    back = " ".join(("'self'", *ancestors[:1]))
    policy = ("default-src 'none'", "style-src 'self'", "base-uri 'none'", f"form-action {back}", f"frame-ancestors {' '.join(ancestors) or chr(39) + 'none' + chr(39)}")
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
