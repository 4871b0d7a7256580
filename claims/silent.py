"""Payers that fall silent about a claim: no word of it within two business days, or no payment within thirty days. A person is asked to ask.

A claim that was rejected, or of which nobody knows whether it was sent, waits for people already. Once said is enough: who completed the Task is not asked
again, until the claim is silent about something else. When the payer speaks, the Task is completed by itself.
"""

import datetime as dt
import json
from dataclasses import dataclass

from chartloop.kernel import clock
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Issue
from claims.attention import OPEN, SILENT, SYSTEM, attention, raise_attention
from claims.chart import Chart, put
from claims.interchange_store import answers, unpaid
from claims.mapping.element import identifier, reference
from claims.mapping.systems import CLAIM_OF_ENCOUNTER, TASK_CODE

_SATURDAY = 5
_UNHEARD = Issue("warning", "processing", "the payer has not acknowledged this claim", "277CA")
_UNPAID = Issue("warning", "processing", "the payer acknowledged this claim and has neither paid nor denied it", "835")


@dataclass(frozen=True, slots=True)
class SilentClaims:
    """Looks for them.

    Attributes:
        db: What was sent and answered.
        chart: The store.
        business_days: How long an acknowledgment (277CA) may take.
        days: How long a payment (835) may take.
    """

    db: Database
    chart: Chart
    business_days: int
    days: int

    def look(self) -> None:
        """Raise a Task for each claim that is silent, and complete those of claims that are not any more."""
        silent = self.silent()
        for claim, issue in silent.items():
            self._ask(claim, issue)
        for task in self.chart.find("Task", code=f"{TASK_CODE}|{SILENT}", status=OPEN):
            if reference(task.resource.get("focus")) not in silent:
                self.chart.transaction([put(task, {**task.resource, "status": "completed"})])

    def silent(self) -> dict[str, Issue]:
        """Give the claims, and what each is silent about."""
        today = dt.datetime.fromtimestamp(clock.now_us() / 1_000_000, dt.UTC)
        unheard, unanswered = _us(business_days_before(today, self.business_days)), _us(today - dt.timedelta(days=self.days))
        found: dict[str, Issue] = {}
        with self.db.read() as session:
            for claim, sent in unpaid(session, max(unheard, unanswered)):
                said = [json.loads(data) for *_, data in answers(session, claim)]
                heard = any(answer["kind"] == "277CA" for answer in said)
                if any(answer.get("rejected") or answer["kind"] == "835" for answer in said) or sent > (unanswered if heard else unheard):
                    continue
                found[claim] = _UNPAID if heard else _UNHEARD
        return found

    def _ask(self, claim: str, issue: Issue) -> None:
        found = self.chart.get(claim)
        if found is None:
            return
        encounter = identifier(found.resource, CLAIM_OF_ENCOUNTER)
        at, patient = f"Encounter/{encounter}" if encounter else "", reference(found.resource.get("patient"))
        task = attention(SILENT, claim, clock.iso(clock.now_us()), focus=claim, patient=patient, encounter=at, reasons=[issue])
        known = self.chart.first("Task", identifier=f"{SYSTEM}|{SILENT}/{claim}")
        if known is None or known.resource.get("input") != task["input"]:
            raise_attention(self.chart, task)


def business_days_before(now: dt.datetime, days: int) -> dt.datetime:
    """Go back so many days that are neither Saturday nor Sunday; holidays count as days."""
    while days:
        now -= dt.timedelta(days=1)
        days -= now.weekday() < _SATURDAY
    return now


def _us(instant: dt.datetime) -> int:
    return round(instant.timestamp() * 1_000_000)
