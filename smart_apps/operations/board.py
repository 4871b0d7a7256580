"""What stands on the operators' page, read in one go: numbers, names of parts, and what an event was about by its kind alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from chartloop.kernel import clock, signals
from chartloop.kernel.db import Database, Session
from chartloop.kernel.dead_letters import DeadLetter, DeadLetters
from chartloop.kernel.held_back import held_back
from chartloop.kernel.jobs.table import FAILED, RUNNING, JobRow, job_rows
from chartloop.kernel.queues import Hold, Queue, holds, queues
from fhir_server.type_ids import TYPE_IDS

MOST: Final = 100
"""Dead letters and holds that one page shows."""
_TONES: Final = {"closed": "good", "half-open": "waiting", "open": "bad"}
_LATE_S: Final = 60.0


class LetterLine(NamedTuple):
    """A dead letter on the page."""

    id: str
    consumer: str
    type: str
    about: str
    attempts: int
    reason: str
    recorded: str


class HoldLine(NamedTuple):
    """Keys of a consumer that wait for the same reason."""

    consumer: str
    key: str
    attempt: int
    due: str
    waiting: int


class PayerLine(NamedTuple):
    """A payer on the page: the breakers of its two lanes, what waits for it, for how long, and how often it was left alone."""

    name: str
    sending: str
    mailbox: str
    waiting: int
    oldest_s: float
    shed: int


class JobLine(NamedTuple):
    """A job on the page."""

    name: str
    schedule: str
    tone: str
    state: str
    detail: str
    last: str
    took: str
    next: str
    runs: int
    failures: int
    paused: bool
    asked: bool


@dataclass(frozen=True, slots=True)
class Board:
    """Reads the page."""

    database: Database
    letters: DeadLetters
    zone: ZoneInfo
    payers: Callable[[Session], Sequence[PayerLine]]

    def read(self) -> dict[str, Any]:
        """Everything that the template shows."""
        with self.database.read(snapshot=True) as session:
            found, held, rows = queues(session), holds(session, MOST + 1), job_rows(session)
            payers, workers, hidden = self.payers(session), signals.workers(session), held_back(session)
        letters = self.letters.list(MOST + 1)
        return {
            "queues": found,
            "totals": _totals(found),
            "letters": [self._letter(letter) for letter in letters[:MOST]],
            "holds": [self._hold(hold) for hold in held[:MOST]],
            "more": {"letters": len(letters) > MOST, "holds": len(held) > MOST},
            "payers": payers,
            "tones": _TONES,
            "workers": workers,
            "hidden_s": hidden.age_s,
            "jobs": [self._job(row) for row in rows],
            "failing": sum(row.outcome == FAILED for row in rows),
            "span": span,
            "now": self._when(clock.now_us()),
            "zone": self.zone.key,
        }

    def _letter(self, letter: DeadLetter) -> LetterLine:
        return LetterLine(letter.id, letter.consumer, letter.type, about(letter.subject), letter.attempts, letter.reason, self._when(letter.recorded))

    def _hold(self, hold: Hold) -> HoldLine:
        due = "a decision" if hold.due is None else self._when(hold.due) if hold.due > clock.now_us() else "now"
        return HoldLine(hold.consumer, hold.key[:8], hold.attempt, due, hold.waiting)

    def _job(self, row: JobRow) -> JobLine:
        tone, state = _state(row)
        detail = f"{row.reason}, {row.attempt} in a row" if row.attempt else ""
        took = f"{row.duration_us / 1e6:.2f} s" if row.last_run and row.outcome != RUNNING else ""
        following = "" if row.paused else self._when(row.next_run)
        return JobLine(row.name, row.schedule, tone, state, detail, self._when(row.last_run), took, following, row.runs, row.failures, bool(row.paused), bool(row.asked))

    def _when(self, us: int) -> str:
        """An instant where the house is; of today the time alone."""
        if not us:
            return "never"
        there = dt.datetime.fromtimestamp(us // 1_000_000, self.zone)
        today = dt.datetime.fromtimestamp(clock.now_us() // 1_000_000, self.zone).date()
        return f"{there:%H:%M:%S}" if there.date() == today else f"{there:%Y-%m-%d %H:%M}"


def about(subject: str) -> str:
    """What an event was about: of a resource its type alone, for an id may have been made of a number of the patient's."""
    return subject.partition("/")[0] if subject.partition("/")[0] in TYPE_IDS else subject


def span(seconds: float) -> str:
    """A duration in the unit that suits it."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _state(row: JobRow) -> tuple[str, str]:
    late_s = (clock.now_us() - row.next_run) / 1e6
    if row.outcome == RUNNING:
        return "working", "running"
    if row.paused:
        return "waiting", "paused"
    if row.outcome == FAILED:
        return "bad", "failed"
    if late_s > _LATE_S:
        return "bad", "late"
    return ("good", "done") if row.outcome else ("waiting", "not run yet")


def _totals(found: list[Queue]) -> dict[str, float]:
    return {
        "waiting": sum(each.ready + each.held for each in found),
        "behind": max((each.behind for each in found), default=0),
        "age_s": max((each.age_s for each in found), default=0.0),
        "retried": sum(each.retried for each in found),
        "dead": sum(each.dead for each in found),
        "held": sum(each.held for each in found),
    }
