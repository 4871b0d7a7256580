"""Data as words for a page: names, ages, reasons; and text made harmless for Markdown."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from chartloop.kernel import clock
from chartloop.kernel.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

REASONS = {
    "below-threshold": "below the certified threshold",
    "not-billable": "not a billable leaf",
    "negated": "the text seems to negate it",
    "no-evidence": "no evidence span",
    "sensitive": "sensitive by policy: a person decides",
    "excludes1": "excludes another code (Excludes1)",
    "less-specific": "another suggested code is more specific",
    "uncertified": "no certified threshold for this population",
}
REJECTIONS = {
    "not-documented": "Not documented",
    "negated": "Ruled out or negated",
    "history-only": "History only",
    "not-specific": "Another code is more specific",
    "not-treated": "Not treated in this encounter",
    "other": "Other",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")
MICROSECONDS_PER_MINUTE = 60_000_000


def leave(csrf: str) -> str:
    """Write the way out: a form of this session, which Streamlit's own buttons cannot send."""
    return f'<form method="post" action="/leave"><input type="hidden" name="csrf" value="{escape(csrf)}"><button class="leave">Leave</button></form>'


def plain(text: str) -> str:
    """Escape a text so that Streamlit's Markdown shows it and nothing else."""
    return _MARKDOWN.sub(r"\\\1", text)


def person_name(patient: Mapping[str, Any] | None) -> str:
    """Write a person's name as an EHR does: family name first."""
    if patient is None:
        return "Patient not visible to you"
    name: Mapping[str, Any] = next(iter(patient.get("name", ())), {})
    given = " ".join(name.get("given", ()))
    return name.get("text") or ", ".join(part for part in (name.get("family", ""), given) if part) or "Unnamed patient"


def age(instant: str) -> str:
    """Say how long ago an instant was."""
    try:
        minutes = max(0, clock.now_us() - clock.parse_iso(instant)) // MICROSECONDS_PER_MINUTE
    except Invalid:
        return ""
    if minutes < 1:
        return "just now"
    if minutes < 120:
        return f"{minutes} min ago"
    hours = minutes // 60
    return f"{hours} h ago" if hours < 48 else f"{hours // 24} days ago"


def reason_words(reasons: tuple[str, ...]) -> str:
    """Say why a code needs a person."""
    return ", ".join(REASONS.get(reason, reason) for reason in reasons)
