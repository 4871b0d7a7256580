"""A clinical note as the coder reads it: the text of a DocumentReference and the version it was read in.

Spec: https://hl7.org/fhir/R4/documentreference.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.store import Stored


@dataclass(frozen=True, slots=True)
class Note:
    """One version of one note; offsets of evidence are code points into `text`."""

    reference: str
    version: int
    text: str
    sensitive: bool


def stored_to_note(stored: Stored, *, sensitive: bool) -> Note:
    """Take the text out of a stored DocumentReference; a note without readable text has the text ''."""
    return Note(f"{stored.type}/{stored.id}", stored.version, document_text(stored.json()), sensitive)


def document_text(document: Mapping[str, Any]) -> str:
    """Join the plain-text attachments of a DocumentReference."""
    parts = []
    for content in document.get("content", ()):
        attachment = content.get("attachment", {})
        if str(attachment.get("contentType", "")).startswith("text/plain"):
            parts.append(_decoded(str(attachment.get("data", ""))))
    return "\n".join(p for p in parts if p)


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", errors="replace")
    except (binascii.Error, ValueError):
        return ""
