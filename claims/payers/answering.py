"""Work through what a payer sent: states of interchanges, ClaimResponse and PaymentReconciliation, all in one transaction."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chartloop.kernel import clock
from chartloop.kernel.db import Database, Session, Tx
from chartloop.kernel.errors import Conflict, Issue, PreconditionFailed
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later, Once
from claims.attention import INVALID, UNKNOWN_OUTCOME, UNMATCHED, attention, attention_entry, closing
from claims.attention import REJECTED as CLAIM_REJECTED
from claims.chart import Chart, by_identifier, post, put
from claims.interchange_store import (
    ACKNOWLEDGED,
    AGAIN,
    PROCESSED,
    QUEUED,
    RECEIVED,
    REJECTED,
    SENDING,
    SENT,
    UNKNOWN,
    StoredInterchange,
    Submission,
    add_answer,
    answers,
    interchange_of,
    move,
    remember_stranger,
    sent_by_gs06,
    sent_by_isa13,
    submission_of,
    submissions,
)
from claims.mapping.answer import acknowledgment_to_answer, interchange_to_answer, remitted_to_answer, set_to_answer
from claims.mapping.claim_response import answers_to_claim_response
from claims.mapping.element import reference
from claims.mapping.payment import payment_identifier, remittance_to_payment_reconciliation
from claims.mapping.systems import CLAIM_RESPONSE, PAYMENT
from claims.payers.directory import Directory
from claims.x12.acknowledgment import loop_to_claim_acknowledgments, loop_to_functional_acknowledgment, segment_to_interchange_acknowledgment
from claims.x12.issue import X12Issue, errors
from claims.x12.remittance import Remittance, RemittedClaim, loop_to_remittance
from claims.x12.validation import Report, validate

_OPEN = (QUEUED, SENDING, SENT, UNKNOWN)


@dataclass(slots=True)
class Findings:
    """What one received interchange says, matched to what went out."""

    answers: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    states: dict[int, str] = field(default_factory=dict)
    remittances: list[tuple[Remittance, dict[int, Submission]]] = field(default_factory=list)
    unmatched: dict[str, str] = field(default_factory=dict)
    """What matches nothing, by its place in the interchange."""
    strangers: set[str] = field(default_factory=set)
    """Patient control numbers that were paid and never sent."""

    def state(self, number: int, state: str) -> None:
        """A rejection outlives an acknowledgment."""
        if self.states.get(number) != REJECTED:
            self.states[number] = state


def report_to_findings(session: Session, payer: str, report: Report) -> Findings:
    """Match every acknowledgment, status and payment of an interchange."""
    found = Findings()
    for received in report.interchanges:
        for segment in received.acknowledgments:
            ta1 = segment_to_interchange_acknowledgment(segment)
            _answer_batch(session, found, sent_by_isa13(session, payer, ta1.control), interchange_to_answer(ta1))
    for transaction in report.sets:
        if transaction.kind == "999":
            group = loop_to_functional_acknowledgment(transaction.root)
            sent = sent_by_gs06(session, payer, group.group_control.lstrip("0"))
            _answer_batch(session, found, sent, set_to_answer(group, group.sets[0] if group.sets else None))
        elif transaction.kind == "277CA":
            for claim in loop_to_claim_acknowledgments(transaction.root).claims:
                submission = submission_of(session, payer=payer, pcn=claim.control)
                if submission is not None:
                    found.answers[submission.claim].append(acknowledgment_to_answer(claim))
                    found.state(submission.interchange, ACKNOWLEDGED)
        elif transaction.kind == "835":
            _remittance(session, found, payer, loop_to_remittance(transaction.root))
    return found


def _answer_batch(session: Session, found: Findings, sent: StoredInterchange | None, answer: dict[str, Any]) -> None:
    if sent is None:
        found.unmatched[str(len(found.unmatched))] = answer["kind"]
        return
    found.state(sent.id, REJECTED if answer["rejected"] else ACKNOWLEDGED)
    for submission in submissions(session, sent.id):
        found.answers[submission.claim].append({**answer, "interchange": sent.isa13})


def _remittance(session: Session, found: Findings, payer: str, remittance: Remittance) -> None:
    matched: dict[int, Submission] = {}
    for index, claim in enumerate(remittance.claims):
        submission = submission_of(session, payer=payer, pcn=claim.control, payer_control=claim.payer_control)
        if submission is None:
            found.unmatched[_place(remittance, index)] = f"835 {remittance.trace} claim {index + 1}"
            found.strangers.add(claim.control)
            continue
        matched[index] = submission
        found.answers[submission.claim].append({**remitted_to_answer(remittance, claim), "position": index})
        found.state(submission.interchange, ACKNOWLEDGED)
    found.remittances.append((remittance, matched))


def _place(remittance: Remittance, index: int) -> str:
    return f"{remittance.trace}/{index + 1}"


class AnsweringConsumer:
    """Processes what came from payers, in the order of each payer's lane."""

    name = "claims-answering"
    types = frozenset({"InterchangeReceived"})
    subjects: frozenset[str] = frozenset()
    isolation = "key"

    def __init__(self, db: Database, chart: Chart, directory: Directory) -> None:
        """Take the stored interchanges and the store."""
        self._db, self._chart, self._directory = db, chart, directory

    def handle(self, event: Event, once: Once) -> None:
        """Process one received interchange."""
        row = interchange_of(self._db, event)
        if row.state != RECEIVED:
            return
        report = validate(row.body)
        faults = errors(report.issues)
        try:
            if faults or not (report.sets or any(i.acknowledgments for i in report.interchanges)):
                self._refuse(row, faults, once)
            else:
                self._apply(row, report, once)
        except (PreconditionFailed, Conflict):
            raise Later(0.2) from None

    def _refuse(self, row: StoredInterchange, faults: list[X12Issue], once: Once) -> None:
        """Keep the bytes, apply nothing, ask a person."""
        now = clock.iso(clock.now_us())
        reasons = [Issue("error", "invalid", f"{f.segment} {f.text}", str(f.at)) for f in faults]
        task = attention(INVALID, f"interchange/{row.id}", now, reasons=reasons)

        def also(tx: Tx) -> None:
            once(tx)
            move(tx, row.id, [RECEIVED], REJECTED, note=f"{len(faults)} errors")

        self._chart.transaction([attention_entry(task)], also)

    def _apply(self, row: StoredInterchange, report: Report, once: Once) -> None:
        with self._db.read() as session:
            found = report_to_findings(session, row.payer, report)
            before = {claim: [json.loads(data) | {"fact": fact} for fact, _, _, data in answers(session, claim)] for claim in found.answers}
        now = clock.iso(clock.now_us())
        entries: list[dict[str, Any]] = []
        responses: dict[str, str] = {}
        for claim_reference, new in found.answers.items():
            self._respond(claim_reference, [*before[claim_reference], *new], now, entries, responses)
        for remittance, matched in found.remittances:
            entries += self._pay(row, remittance, matched, responses, now)
        for place, what in found.unmatched.items():
            reason = Issue("warning", "not-found", f"{what} matches nothing that was sent", f"interchange/{row.id}")
            entries.append(attention_entry(attention(UNMATCHED, f"interchange/{row.id}/{place}", now, reasons=[reason])))
        if row.note == AGAIN:
            places = [_place(remittance, index) for remittance, matched in found.remittances for index in matched]
            entries += [entry for place in places for entry in closing(self._chart, UNMATCHED, f"interchange/{row.id}/{place}")]
        for number in found.states:
            entries += closing(self._chart, UNKNOWN_OUTCOME, f"interchange/{number}")
        kinds = sorted({t.kind for t in report.sets} | ({"TA1"} if any(i.acknowledgments for i in report.interchanges) else set()))

        def also(tx: Tx) -> None:
            once(tx)
            for claim_reference, new in found.answers.items():
                for answer in new:
                    data = json.dumps(answer, sort_keys=True)
                    add_answer(tx, claim_reference, fact_of(row.payer, answer), row.id, answer["kind"], data, answer.get("payer_control", ""))
            for number, state in found.states.items():
                move(tx, number, [*_OPEN, ACKNOWLEDGED] if state == REJECTED else _OPEN, state)
            for control in found.strangers:
                remember_stranger(tx, row.payer, control, row.id)
            move(tx, row.id, [RECEIVED], PROCESSED, note=" ".join(kinds))
            tx.run("UPDATE interchange SET kind = ?, isa13 = ? WHERE id = ?", (" ".join(kinds), report.interchanges[0].control, row.id))

        self._chart.transaction(entries, also)

    def _respond(
        self, claim_reference: str, facts: list[dict[str, Any]], now: str, entries: list[dict[str, Any]], responses: dict[str, str]
    ) -> None:
        claim = self._chart.get(claim_reference)
        if claim is None:
            return
        unique = {fact_of("", {k: v for k, v in f.items() if k != "fact"}): f for f in facts}
        id_ = str(claim.resource["id"])
        known = self._chart.first("ClaimResponse", identifier=f"{CLAIM_RESPONSE}|{id_}")
        created = str(known.resource.get("created")) if known else now
        response = answers_to_claim_response(claim.resource, unique.values(), created)
        if known is not None:
            responses[claim_reference] = known.reference
            kept: dict[str, Any] = {k: known.resource[k] for k in ("id", "meta") if k in known.resource}
            merged = kept | response
            entries.append(put(known, merged))
        else:
            url = f"urn:uuid:{_uuid_of(claim_reference)}"
            responses[claim_reference] = url
            entries.append(post(response, url, by_identifier(CLAIM_RESPONSE, id_)))
        if response["outcome"] == "error":
            patient = reference(claim.resource.get("patient"))
            entries.append(attention_entry(attention(CLAIM_REJECTED, claim_reference, now, focus=claim_reference, patient=patient)))

    def _pay(
        self, row: StoredInterchange, remittance: Remittance, matched: Mapping[int, Submission], responses: Mapping[str, str], now: str
    ) -> list[dict[str, Any]]:
        value = payment_identifier(row.payer, remittance)
        known = self._chart.first("PaymentReconciliation", identifier=f"{PAYMENT}|{value}")
        if known is not None and row.note != AGAIN:
            return []
        positions = {id(claim): index for index, claim in enumerate(remittance.claims)}

        def answered(claim: RemittedClaim) -> tuple[str, str]:
            submission = matched.get(positions[id(claim)])
            return (submission.claim, responses.get(submission.claim, "")) if submission else ("", "")

        issuer = self._directory.payer(row.payer).organization
        payment = remittance_to_payment_reconciliation(remittance, row.payer, now, answered, issuer)
        if known is not None:  # a claim that was paid before it was sent
            return [put(known, {**known.resource, "detail": payment["detail"]})]
        return [post(payment, f"urn:uuid:{_uuid_of(value)}", by_identifier(PAYMENT, value))]


def fact_of(payer: str, answer: Mapping[str, Any]) -> str:
    """Return what makes a fact the same however often, and in whichever interchange, it is told."""
    return hashlib.sha256(f"{payer}\n{json.dumps(answer, sort_keys=True)}".encode()).hexdigest()


def _uuid_of(text: str) -> str:
    digits = hashlib.sha256(text.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


