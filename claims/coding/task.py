"""The review Task of a claim: suggestions to inputs and back, pure.

Spec: https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from claims.coding.body import code_in, extensions, reference
from claims.coding.note import Note
from claims.coding.systems import ICD_10_CM, NOTE_VERSION, REVIEW_CODING, SUGGESTION
from claims.mapping.systems import TASK_CODE, TASK_INPUT
from predictions.calibration import Routed
from predictions.coder import Suggestion


@dataclass(frozen=True, slots=True)
class Offered:
    """A suggestion as the Task shows it."""

    id: str
    code: str
    display: str
    confidence: Decimal
    note: str
    start: int
    end: int
    model: str
    disposition: str
    reasons: tuple[str, ...] = ()


def suggestion_id(note: Note, code: str, model: str) -> str:
    """Name a suggestion so that the same note, code and model give the same name."""
    return "s-" + hashlib.sha256(f"{note.reference}|{note.version}|{code}|{model}".encode()).hexdigest()[:20]


def routed_to_offered(note: Note, routed: Routed, model: str) -> list[Offered]:
    """List what the coder said of a note: on the claim already, then for review."""
    return [_offered(note, s, model, "auto", ()) for s in routed.auto] + [_offered(note, s, model, "review", why) for s, why in routed.review]


def _offered(note: Note, s: Suggestion, model: str, disposition: str, reasons: tuple[str, ...]) -> Offered:
    confidence = Decimal(str(s.confidence))
    return Offered(
        suggestion_id(note, s.code, model), s.code, s.display, confidence, note.reference, max(s.start, 0), max(s.end, 0), model, disposition, reasons
    )


def offered_to_input(offered: Offered) -> dict[str, Any]:
    """Write one suggestion as a Task.input."""
    facts: list[dict[str, Any]] = [
        {"url": "id", "valueString": offered.id},
        {"url": "confidence", "valueDecimal": offered.confidence},
        {"url": "note", "valueReference": {"reference": offered.note}},
        {"url": "start", "valueUnsignedInt": offered.start},
        {"url": "end", "valueUnsignedInt": offered.end},
        {"url": "model", "valueString": offered.model},
        {"url": "disposition", "valueCode": offered.disposition},
        *({"url": "reason", "valueCode": r} for r in offered.reasons),
    ]
    return {
        "extension": [{"url": SUGGESTION, "extension": facts}],
        "type": {"coding": [{"system": TASK_INPUT, "code": "suggestion"}]},
        "valueCoding": {"system": ICD_10_CM, "code": offered.code, "display": offered.display},
    }


def input_to_offered(entry: Mapping[str, Any]) -> Offered | None:
    """Read one Task.input; None if it is not a suggestion."""
    facts = next(extensions(entry, SUGGESTION), None)
    coding = entry.get("valueCoding", {})
    if facts is None or code_in(entry.get("type"), TASK_INPUT) != "suggestion" or not coding.get("code"):
        return None
    values = {e.get("url"): next((v for k, v in e.items() if k.startswith("value")), None) for e in facts.get("extension", ())}
    reasons = tuple(str(e.get("valueCode", "")) for e in facts.get("extension", ()) if e.get("url") == "reason")
    return Offered(
        str(values.get("id") or ""),
        str(coding["code"]),
        str(coding.get("display", "")),
        Decimal(str(values.get("confidence") or 0)),
        reference(values.get("note")),
        int(values.get("start") or 0),
        int(values.get("end") or 0),
        str(values.get("model") or ""),
        str(values.get("disposition") or "review"),
        reasons,
    )


def note_to_input(note: Note) -> dict[str, Any]:
    """Write the note, with the version that was read, as a Task.input; the Task takes over the labels of what it refers to."""
    return {
        "extension": [{"url": NOTE_VERSION, "valueUnsignedInt": note.version}],
        "type": {"coding": [{"system": TASK_INPUT, "code": "note"}]},
        "valueReference": {"reference": note.reference},
    }


def task_notes(task: Mapping[str, Any]) -> dict[str, int]:
    """Return the notes under review with the highest version read."""
    found: dict[str, int] = {}
    for entry in task.get("input", ()):
        if code_in(entry.get("type"), TASK_INPUT) == "note":
            note = reference(entry.get("valueReference"))
            version = next((int(e.get("valueUnsignedInt", 0)) for e in extensions(entry, NOTE_VERSION)), 0)
            found[note] = max(found.get(note, 0), version)
    return found


def task_offered(task: Mapping[str, Any]) -> list[Offered]:
    """Return the suggestions of a Task in order."""
    return [o for o in map(input_to_offered, task.get("input", ())) if o is not None]


def new_task(claim: Mapping[str, Any], claim_reference: str, encounter: str, authored: str) -> dict[str, Any]:
    """Write an empty review Task for a claim."""
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": TASK_CODE, "code": REVIEW_CODING}]},
        "focus": {"reference": claim_reference},
        "for": {"reference": reference(claim.get("patient"))},
        **({"encounter": {"reference": encounter}} if encounter else {}),
        "authoredOn": authored,
        "input": [],
    }


def extend_task(task: Mapping[str, Any], notes: Sequence[Note], offered: Iterable[Offered]) -> dict[str, Any]:
    """Add notes and suggestions; suggestions of an older version of the same note give way, decided ones never (a Task is decided as a whole)."""
    renewed = {n.reference for n in notes}
    kept = []
    for entry in task.get("input", ()):
        known = input_to_offered(entry)
        about = known.note if known else reference(entry.get("valueReference"))
        if about not in renewed:
            kept.append(entry)
    return {**task, "input": [*kept, *map(note_to_input, notes), *map(offered_to_input, offered)]}
