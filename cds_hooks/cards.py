"""CDS Hooks cards: whatever goes in, what comes out is a card that the standard allows. Pure.

Spec: https://cds-hooks.hl7.org/2.0/#card-attributes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from cds_hooks.markdown import shorten
from cds_hooks.risk_models import BASE

SUMMARY_LENGTH: Final = 139
"""The standard says less than 140 characters."""

LABEL_LENGTH: Final = 80
OVERRIDE_REASON: Final = f"{BASE}/CodeSystem/override-reason"
OVERRIDE_REASONS: Final[tuple[tuple[str, str], ...]] = (
    ("already-addressed", "Already addressed"),
    ("wrong-data", "The data are wrong"),
    ("not-applicable", "Does not apply to this patient"),
    ("disagree", "I disagree with the result"),
)

Indicator = Literal["info", "warning"]
"""A model alone is never critical."""


def card(
    *,
    uuid: str,
    summary: str,
    indicator: Indicator,
    detail: str,
    source: Mapping[str, Any],
    links: Sequence[Mapping[str, str]] = (),
    extension: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make a card; members that would be empty are left out."""
    made: dict[str, Any] = {
        "uuid": uuid,
        "summary": shorten(summary, SUMMARY_LENGTH),
        "indicator": indicator,
        "detail": detail,
        "source": dict(source),
        "overrideReasons": [{"system": OVERRIDE_REASON, "code": code, "display": display} for code, display in OVERRIDE_REASONS],
    }
    if links:
        made["links"] = [dict(link) for link in links]
    if extension:
        made["extension"] = dict(extension)
    return made


def source(label: str, url: str, topic: Mapping[str, str]) -> dict[str, Any]:
    """Say where a card comes from; `topic` is a Coding."""
    return {"label": shorten(label, LABEL_LENGTH), "url": url, "topic": dict(topic)}


def absolute_link(label: str, url: str) -> dict[str, str]:
    """Link to a page."""
    return {"label": shorten(label, LABEL_LENGTH), "url": url, "type": "absolute"}


def smart_link(label: str, url: str, app_context: str) -> dict[str, str]:
    """Link to the launch URL of a SMART app, with what it is to open."""
    return {"label": shorten(label, LABEL_LENGTH), "url": url, "type": "smart", "appContext": app_context}
