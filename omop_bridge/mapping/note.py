"""DocumentReference to note: that a note of some kind was written, when, in which visit; no words unless the site wants them.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#note
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from omop_bridge.concepts import NO_CONCEPT, TYPE_EHR_NOTE
from omop_bridge.mapping.moments import to_moment, why_not
from omop_bridge.mapping.rows import Context, Element, Mapped, Row, excluded
from omop_bridge.mapping.screening import NO_CODE, unrealised

NO_TEXT: Final = ""
"""What note_text holds: the column is required, the words stay in the chart."""


def document_to_rows(document: Element, context: Context) -> Mapped:
    """Write a note that is current and not a draft; its title is the name of its class."""
    reason = unrealised(document, {"current"})
    if reason is None and document.get("docStatus") in ("preliminary", "entered-in-error"):
        reason = f"status-{document['docStatus']}"
    if reason:
        return excluded(reason)
    coded = context.coder.coded(document.get("type"))
    if coded is None:
        return excluded(NO_CODE)
    written = document.get("date") or ((document.get("context") or {}).get("period") or {}).get("start")
    when = to_moment(written)
    if when is None:
        return excluded(why_not(written))
    values = {
        "note_date": when.date,
        "note_datetime": when.datetime,
        "note_type_concept_id": TYPE_EHR_NOTE,
        "note_class_concept_id": coded.concept_id,
        "note_title": coded.targets[0].concept_name if coded.targets else None,
        "note_text": _text(document) if context.profile.text else NO_TEXT,
        "encoding_concept_id": NO_CONCEPT,
        "language_concept_id": NO_CONCEPT,
        "visit_occurrence_id": context.visit,
        "note_source_value": coded.source_value,
    }
    return Mapped((Row("note", "note", values),))


def _text(document: Element) -> str:
    """The words, where they came with the resource and this reader was shown them."""
    found = []
    for content in document.get("content", ()):
        attachment = content.get("attachment") or {}
        if str(attachment.get("contentType", "")).startswith("text/plain") and attachment.get("data"):
            try:
                found.append(base64.b64decode(attachment["data"]).decode("utf-8", "replace"))
            except (binascii.Error, ValueError):
                continue
    return "\n".join(found) or NO_TEXT
