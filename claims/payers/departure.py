"""The last look before an interchange leaves: whether what it tells may still be told, decided again in the transaction that takes it out of the queue.

Between queueing and sending a consent may be withdrawn or a restriction asked for. Such an interchange is withheld for good: its claims are drafts
again, which are looked at again when the patient says something else, a Task says so to people, and the audit log says which policy it was.
Spec: 45 CFR 164.522(a), 42 CFR 2.31
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.errors import Issue, PreconditionFailed
from chartloop.kernel.worker import Later, Once
from claims.attention import WITHHELD as KEPT_BACK
from claims.attention import attention, raise_attention
from claims.chart import Chart, Entry, put
from claims.interchange_store import QUEUED, SENDING, WITHHELD, StoredInterchange, move, submissions
from claims.mapping.element import identifier, reference
from claims.mapping.systems import CLAIM_OF_ENCOUNTER, ISA13
from claims.told import told_of, told_to
from fhir_server.operations.disclose import Withheld

_AGAIN_S = 0.2


class StaysHere(Exception):
    """It may not leave any more: it was withheld, and nothing is left to do."""


class _Telling(NamedTuple):
    """One claim of an interchange: what it tells, and to whom."""

    claim: Entry
    recipient: Subject
    references: list[str]


class Departure:
    """Takes interchanges out of the queue, if they may still go."""

    def __init__(self, db: Database, chart: Chart, payer: Subject) -> None:
        """Take the queue, the store, and as whom payers are told."""
        self._db, self._chart, self._payer = db, chart, payer

    def take(self, row: StoredInterchange, once: Once) -> bool:
        """Take an interchange for sending; False where somebody else did.

        Raises:
            StaysHere: It may not leave any more.
            Later: Somebody writes what was to be taken back; look again.
        """
        telling = self._telling(row)

        def work(tx: Tx) -> bool:
            for each in telling:
                self._chart.may_tell(tx, each.recipient, each.references)
            return move(tx, row.id, [QUEUED], SENDING, attempt=True)

        try:
            return self._db.write(work)
        except Withheld as kept:
            self._keep(row, telling, kept.references, once)
            raise StaysHere from None

    def _telling(self, row: StoredInterchange) -> list[_Telling]:
        with self._db.read() as session:
            names = [submission.claim for submission in submissions(session, row.id)]
        found = []
        for name in names:
            claim = self._chart.get(name) or Entry(dict(zip(("resourceType", "id"), name.split("/", 1), strict=True)), 0)
            visit = {"resourceType": "Encounter", "id": identifier(claim.resource, CLAIM_OF_ENCOUNTER)}
            # A claim that is gone has no insurer whom it could be told to, so nothing permits it.
            found.append(_Telling(claim, told_to(self._payer, claim.resource), told_of(claim.resource, visit)))
        return found

    def _keep(self, row: StoredInterchange, telling: Iterable[_Telling], kept: tuple[str, ...], once: Once) -> None:
        there = [each for each in telling if each.claim.version]
        for each in telling:
            self._chart.withheld(each.recipient, [name for name in each.references if name in kept])
        for each in there:
            raise_attention(self._chart, _task(each.claim))

        def also(tx: Tx) -> None:
            once(tx)
            move(tx, row.id, [QUEUED], WITHHELD, note="its claims may not be told to the payer any more")

        try:
            if there:
                self._chart.transaction([put(each.claim, _draft(each.claim)) for each in there], also)
            else:
                self._db.write(also)
        except PreconditionFailed:
            raise Later(_AGAIN_S) from None


def _draft(claim: Entry) -> dict[str, Any]:
    """The claim as it was before it was queued: it has no interchange any more."""
    identifiers = [each for each in claim.resource.get("identifier") or [] if each.get("system") != ISA13]
    return {**claim.resource, "status": "draft", "identifier": identifiers}


def _task(claim: Entry) -> dict[str, Any]:
    """Say to people that the claim waits, without saying what for."""
    reason = Issue("error", "business-rule", "since it was queued a restriction or a missing consent of the patient keeps it from this payer", claim.reference)
    patient, encounter = reference(claim.resource.get("patient")), identifier(claim.resource, CLAIM_OF_ENCOUNTER)
    at = f"Encounter/{encounter}" if encounter else ""
    return attention(KEPT_BACK, claim.reference, clock.iso(clock.now_us()), focus=claim.reference, patient=patient, encounter=at, reasons=[reason])
