"""Feedback on cards: decoded, and every mistake named with its path. Pure.

Spec: https://cds-hooks.hl7.org/2.0/#feedback
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cds_hooks.request import json_object
from cds_hooks.shape import Shape
from chartloop.kernel.clock import parse_iso
from chartloop.kernel.errors import Invalid

MOST_ENTRIES: Final = 100
COMMENT_LENGTH: Final = 1000
_SYSTEM_LENGTH: Final = 200
_CODE_LENGTH: Final = 64
_OUTCOMES: Final = ("accepted", "overridden")


class Feedback(NamedTuple):
    """What somebody did with a card; `happened` is in microseconds since 1970 UTC."""

    card: str
    model: str
    happened: int
    outcome: str
    reason_system: str
    reason_code: str
    comment: str


def decode(body: bytes, model_of: Callable[[str], str | None]) -> list[Feedback]:
    """Decode a feedback request.

    Args:
        body: As it came.
        model_of: Gives the model of a card that was issued, None for any other id.

    Raises:
        Invalid: With every mistake, each at its path; then nothing of it counts.
    """
    shape, said = Shape(), json_object(body)
    entries = shape.objects(said, "feedback")
    shape.take(said, "feedback", list, required=True)
    if len(entries) > MOST_ENTRIES:
        raise Invalid(f"A request has at most {MOST_ENTRIES} entries.", expression="feedback")
    found = [_entry(shape, entry, path, model_of) for path, entry in entries]
    shape.refuse()
    return found


def _entry(shape: Shape, entry: Mapping[str, Any], path: str, model_of: Callable[[str], str | None]) -> Feedback:
    card = shape.take(entry, "card", str, path, required=True) or ""
    model = model_of(card) if card else None
    if card and model is None:
        shape.fault(f"{path}.card", "This card was not issued here.")
    outcome = shape.take(entry, "outcome", str, path, required=True) or ""
    if outcome and outcome not in _OUTCOMES:
        shape.fault(f"{path}.outcome", "This must be accepted or overridden.")
    for where, suggestion in shape.objects(entry, "acceptedSuggestions", path):
        shape.take(suggestion, "id", str, where, required=True)
    system, code, comment = _override(shape, entry, path)
    return Feedback(card.lower(), model or "", _moment(shape, entry, path), outcome, system, code, comment)


def _override(shape: Shape, entry: Mapping[str, Any], path: str) -> tuple[str, str, str]:
    at = f"{path}.overrideReason"
    given = shape.take(entry, "overrideReason", dict, path) or {}
    reason = shape.take(given, "reason", dict, at) or {}
    code = _bounded(shape, reason, "code", f"{at}.reason", _CODE_LENGTH, required=bool(reason))
    system = _bounded(shape, reason, "system", f"{at}.reason", _SYSTEM_LENGTH)
    return system, code, _bounded(shape, given, "userComment", at, COMMENT_LENGTH)


def _bounded(shape: Shape, holder: Mapping[str, Any], name: str, path: str, most: int, *, required: bool = False) -> str:
    text = shape.take(holder, name, str, path, required=required) or ""
    if len(text) > most:
        shape.fault(f"{path}.{name}", f"This is longer than {most} characters.")
    return text


def _moment(shape: Shape, entry: Mapping[str, Any], path: str) -> int:
    text = shape.take(entry, "outcomeTimestamp", str, path, required=True) or ""
    try:
        return parse_iso(text) if text else 0
    except Invalid as error:
        shape.fault(f"{path}.outcomeTimestamp", str(error))
        return 0
