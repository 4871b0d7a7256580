"""The text of a note, cut where evidence begins and ends.

Offsets count Unicode code points of the decoded text.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Span:
    """Where the evidence of one suggestion stands."""

    id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text under the same evidence from end to end."""

    text: str
    ids: tuple[str, ...] = ()


def note_text(document: Mapping[str, Any]) -> str | None:
    """Decode the first text attachment of a DocumentReference; None when there is none that can be read."""
    for content in document.get("content", ()):
        attachment = content.get("attachment", {})
        if str(attachment.get("contentType", "")).startswith("text/plain") and "data" in attachment:
            try:
                return base64.b64decode(attachment["data"], validate=True).decode("utf-8")
            except (binascii.Error, UnicodeDecodeError):
                return None
    return None


def note_title(document: Mapping[str, Any]) -> str:
    """Name a note: its attachment's title, else its type, else what it is."""
    attachments = (content.get("attachment", {}) for content in document.get("content", ()))
    title = next((a["title"] for a in attachments if a.get("title")), "")
    concept = document.get("type", {})
    codings = concept.get("coding") or [{}]
    return title or concept.get("text") or codings[0].get("display") or "Clinical note"


def segments(text: str, spans: Iterable[Span]) -> list[Segment]:
    """Cut a text at every border of evidence; spans outside the text, empty or turned around are ignored."""
    good = [span for span in spans if 0 <= span.start < span.end <= len(text)]
    borders = sorted({0, len(text), *(s.start for s in good), *(s.end for s in good)})
    return [Segment(text[start:end], tuple(s.id for s in good if s.start <= start and end <= s.end)) for start, end in pairwise(borders)]
