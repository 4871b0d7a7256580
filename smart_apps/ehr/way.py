"""The way of a claim as stations of a page: what happened, what is under way, what has yet to come. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smart_apps.ehr.rows import Chip, chip, minute

if TYPE_CHECKING:
    from claims.trace import Step

TITLES = {
    "note": "Note",
    "task": "Coding review",
    "claim": "Claim",
    "isa13": "837P",
    "TA1": "Interchange acknowledged (TA1)",
    "999": "Syntax checked (999)",
    "277CA": "Taken in by the payer (277CA)",
    "835": "Remittance (835)",
    "claimresponse": "Payer's answer",
    "paymentreconciliation": "Payment",
}
# What the codes of acknowledgments and remittances say: TA104, 999 AK501 and AK901, 277CA STC03, 835 CLP02.
STATES = {
    "TA1": {"A": "accepted", "E": "accepted with errors", "R": "rejected"},
    "999": {"A": "accepted", "E": "accepted with errors", "P": "partly accepted", "R": "rejected"},
    "277CA": {"WQ": "accepted", "U": "rejected"},
    "835": {"1": "processed", "2": "processed as secondary", "3": "processed as tertiary", "4": "denied", "22": "reversed"},
}
FAILED = frozenset({"error", "rejected", "withheld", "cancelled", "failed", "denied"})
UNDER_WAY = frozenset({"requested", "in-progress", "draft", "queued", "sending", "unknown", "partial", "not coded"})
LAST = (("isa13", "837P"), ("claimresponse", "Payer's answer"), ("paymentreconciliation", "Payment"))


@dataclass(frozen=True, slots=True)
class Station:
    """One station.

    Attributes:
        title: What it is.
        tone: done, now, failed, or open for what has yet to come.
        state: Its status, if it has one.
        lines: What else is known.
    """

    title: str
    tone: str
    state: Chip | None = None
    lines: tuple[str, ...] = ()


def steps_to_stations(steps: Iterable[Step]) -> list[Station]:
    """Turn a trace into stations, and add those that have yet to come."""
    known = list(steps)
    shown = [_station(step) for step in known]
    kinds = {step.kind for step in known}
    return shown + _still_open(kinds)


def _station(step: Step) -> Station:
    state = STATES.get(step.kind, {}).get(step.state, step.state)
    identifier = step.id if step.kind in ("isa13", "TA1", "999", "277CA", "835") else ""
    detail = f"{step.detail} USD" if step.kind == "paymentreconciliation" and step.detail else step.detail
    lines = tuple(line for line in (detail, identifier, minute(step.time)) if line)
    return Station(TITLES.get(step.kind, step.kind), _tone(state), chip(state) if state else None, lines)


def _tone(state: str) -> str:
    if state in FAILED:
        return "failed"
    return "now" if state in UNDER_WAY else "done"


def _still_open(kinds: set[str]) -> list[Station]:
    return [Station(title, "open", None, ("not yet",)) for kind, title in LAST if kind not in kinds]


def rows_to_stations(responses: Sequence[dict[str, Any]], payments: Sequence[dict[str, Any]]) -> list[Station]:
    """Make stations of what is visible to somebody to whom the whole way is not."""
    shown = [Station("Payer's answer", "failed" if r["outcome"].tone == "bad" else "done", r["outcome"], (r["disposition"], r["created"])) for r in responses]
    shown += [Station("Payment", "done", None, (f"{', '.join(p['for_claim'])} of {p['amount']}", p["number"], p["date"])) for p in payments]
    return shown
