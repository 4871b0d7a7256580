"""Corrections: a coder's completed review changes the claim and becomes training examples.

The examples are durable before the claim changes; both are idempotent, so a crash in between repeats without doubling anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker import Once
from chartloop.kernel.errors import Gone, Issue, NotFound
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Permanent
from claims.coding.body import code_in, parse, reference
from claims.coding.diagnosis import Diagnosis, with_coded_notes, with_diagnoses
from claims.coding.examples import ExampleLedger, review_to_examples
from claims.coding.provenance import coder_provenance
from claims.coding.review import Decision, Review, task_to_review
from claims.coding.systems import CLOSED_STATUSES, REVIEW_CODING, TASK_REASON
from claims.coding.task import task_notes
from claims.mapping.systems import TASK_CODE
from fhir_server.repository import Repository
from fhir_server.store import Labeller, Stored
from terminology.icd10cm import Icd10cm

_log = structlog.get_logger(__name__)


class CorrectionsConsumer:
    """Applies completed reviews."""

    name = "claims.coding.corrections"
    types = frozenset({"ResourceCreated", "ResourceUpdated"})
    subjects = frozenset({"Task"})
    isolation = "patient"

    def __init__(self, repository: Repository, subject: Subject, ledger: ExampleLedger, secret: bytes, icd: Icd10cm, labeller: Labeller) -> None:
        """Take the door, who acts, the ledger and the key of the notes' names."""
        self._repository, self._ledger, self._secret, self._icd, self._labeller = repository, ledger, secret, icd, labeller
        self._scope = Scope(subject, "read")

    def handle(self, event: Event, once: Once) -> None:
        """Apply the review if the event's Task is one and is closed."""
        try:
            stored = self._repository.read(self._scope, *event.subject.split("/", 1))
        except (NotFound, Gone):
            return
        task = parse(stored)
        if code_in(task.get("code"), TASK_CODE) != REVIEW_CODING or task.get("status") not in CLOSED_STATUSES:
            return
        closed_without = task["status"] != "completed"
        review, issues = (Review((), chart_complete=False), []) if closed_without else task_to_review(task, self._icd)
        if issues:
            self._send_back(stored, task, issues, once)
            return
        self._ledger.append(self._examples(task, review) if not closed_without else [])
        self._apply(stored, task, review, once)

    def _send_back(self, stored: Stored, task: dict[str, Any], issues: Sequence[Issue], once: Once) -> None:
        """Open the Task again with the reason; its outputs stay, so nothing the coder did is lost."""
        text = " ".join(f"{i.expression}: {i.text}" for i in issues)
        reason = {"coding": [{"system": TASK_REASON, "code": "invalid-decision"}], "text": text}
        again = {**task, "status": "in-progress" if task.get("owner") else "requested", "statusReason": reason}
        self._repository.update(self._scope, "Task", stored.id, again, if_match=stored.version, also=once)
        _log.info("A review was sent back.", action="coding.review.returned", issues=len(issues))

    def _apply(self, stored: Stored, task: dict[str, Any], review: Review, once: Once) -> None:
        name = reference(task.get("focus"))
        found = self._repository.read(self._scope, *name.split("/", 1))
        claim = parse(found)
        changed = with_coded_notes(review_to_claim(claim, review, self._icd), task_notes(task))
        if changed == claim:
            return
        if claim.get("status") != "draft":
            raise Permanent("The claim was released before this review was completed: decide on it by hand.")
        provenance = coder_provenance(name, f"Task/{stored.id}", list(task_notes(task)), coder=reference(task.get("owner")), recorded=clock.iso(clock.now_us()))
        entries = [
            {"resource": changed, "request": {"method": "PUT", "url": name, "ifMatch": f'W/"{found.version}"'}},
            {"resource": provenance, "request": {"method": "POST", "url": "Provenance"}},
        ]
        self._repository.transaction(self._scope, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, also=once)
        _log.info("A review was applied to its claim.", action="coding.review.applied", decisions=len(review.decisions))

    def _examples(self, task: Mapping[str, Any], review: Review) -> list[Any]:
        notes = task_notes(task)
        excluded = frozenset(n for n in notes if self._sensitive(n))
        time = str(task.get("meta", {}).get("lastUpdated", ""))
        return review_to_examples(task, review, notes, self._secret, excluded=excluded, time=time)

    def _sensitive(self, note: str) -> bool:
        """Say whether a note is labelled; one that cannot be read is treated as if it were."""
        try:
            body = self._repository.read(self._scope, *note.split("/", 1)).json()
            near = [self._repository.read(self._scope, *reference(e).split("/", 1)).json() for e in body.get("context", {}).get("encounter", ())]
        except (NotFound, Gone, ValueError, TypeError):
            return True
        return any(self._labeller.labels(str(r["resourceType"]), r, lambda _: frozenset()) for r in (body, *near))


def review_to_claim(claim: Mapping[str, Any], review: Review, icd: Icd10cm) -> dict[str, Any]:
    """Apply decisions to a claim; applying them again changes nothing."""
    put = [(d.offered.id if d.offered else "", _diagnosis(d, icd)) for d in review.decisions if d.kind != "reject"]
    off = [d.offered.id for d in review.decisions if d.kind == "reject" and d.offered]
    return with_diagnoses(claim, put=put, taken_off=off)


def _diagnosis(decision: Decision, icd: Icd10cm) -> Diagnosis:
    known = icd.lookup(decision.code)
    return Diagnosis(decision.code, known.display if known else decision.display, decision.offered.id if decision.offered else "")
