"""Where a claim is: note, Task, Claim, ISA13, acknowledgments, payment, in order; and an operator's word on an unknown outcome."""

import json
from collections.abc import Iterator
from typing import NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.errors import Invalid, NotFound
from chartloop.kernel.outbox import Outbox
from claims.chart import Chart, Entry
from claims.interchange_store import QUEUED, REJECTED, SENT, UNKNOWN, StoredInterchange, answers, by_isa13, interchange, move, submission_of, submissions
from claims.mapping.coded import coded_notes
from claims.mapping.element import reference
from claims.mapping.systems import PCN, TASK_CODE
from fhir_server.repository import Repository

OUTCOMES = {"received": SENT, "resend": QUEUED, "lost": REJECTED}


class Step(NamedTuple):
    """One station on the way of a claim."""

    kind: str
    id: str
    state: str
    time: str
    detail: str = ""


def trace(repository: Repository, scope: Scope, db: Database, wanted: str) -> list[Step]:
    """Return the way of the claim that an id belongs to.

    Args:
        repository: The door.
        scope: Who asks; what they may not see is not in the answer.
        db: Where interchanges are.
        wanted: Id or reference of a DocumentReference, Task or Claim, a patient control number, or an ISA13.

    Raises:
        NotFound: Nothing visible has this id.
    """
    chart = Chart(repository, scope.subject)
    steps = [step for claim in _claims(chart, db, wanted) for step in _steps(chart, db, claim)]
    if not steps:
        raise NotFound("No note, Task, Claim, patient control number or ISA13 of this id is visible to you.")
    return steps


def _claims(chart: Chart, db: Database, wanted: str) -> list[Entry]:
    type_, _, id_ = wanted.rpartition("/")
    for candidate in [type_] if type_ else ["Claim", "Task", "DocumentReference"]:
        entry = chart.get(f"{candidate}/{id_}")
        if entry is not None:
            return _of_resource(chart, entry)
    with db.read() as session:
        submission = submission_of(session, pcn=wanted)
        found = [submission.claim] if submission else [s.claim for row in by_isa13(session, wanted) for s in submissions(session, row.id)]
    if found:
        return [entry for entry in map(chart.get, found) if entry is not None]
    return chart.find("Claim", identifier=f"{PCN}|{wanted}")


def _of_resource(chart: Chart, entry: Entry) -> list[Entry]:
    if entry.resource["resourceType"] == "Claim":
        return [entry]
    focus = chart.get(reference(entry.resource.get("focus")))
    if focus is not None and focus.resource["resourceType"] == "Claim":
        return [focus]
    named = [reference(entry.resource.get("encounter"))]
    if entry.resource["resourceType"] == "DocumentReference":
        named = [reference(e) for e in (entry.resource.get("context") or {}).get("encounter") or []]
    return [claim for ref in named if ref for claim in chart.find("Claim", encounter=ref)]


def _steps(chart: Chart, db: Database, claim: Entry) -> Iterator[Step]:
    encounters = sorted({reference(e) for item in claim.resource.get("item") or [] for e in item.get("encounter") or []})
    coded = coded_notes(claim.resource)
    for encounter in encounters:
        for note in chart.find("DocumentReference", encounter=encounter, status="current"):
            state = "coded" if (note.reference, note.version) in coded else "not coded"
            yield Step("note", note.reference, state, str(note.resource.get("date") or ""))
        for task in chart.find("Task", encounter=encounter, code=f"{TASK_CODE}|review-coding"):
            yield Step("task", task.reference, str(task.resource.get("status")), str(task.resource.get("authoredOn") or ""))
    pcn = next((str(i["value"]) for i in claim.resource.get("identifier") or [] if i.get("system") == PCN), "")
    yield Step("claim", claim.reference, str(claim.resource.get("status")), str(claim.resource.get("created") or ""), pcn)
    yield from _exchanged(db, claim)
    for response in chart.find("ClaimResponse", request=claim.reference):
        said = response.resource
        outcome_, created, disposition = (str(said.get(name) or "") for name in ("outcome", "created", "disposition"))
        yield Step("claimresponse", response.reference, outcome_, created, disposition)
        trace_number = ((response.resource.get("payment") or {}).get("identifier") or {}).get("value")
        if trace_number:
            yield from _payments(chart, claim)


def _exchanged(db: Database, claim: Entry) -> Iterator[Step]:
    with db.read() as session:
        submission = submission_of(session, claim=claim.reference)
        sent = interchange(session, submission.interchange) if submission else None
        received = answers(session, claim.reference)
        rows = {number: interchange(session, number) for _, number, _, _ in received}
    if sent is not None:
        yield _sent(sent)
    order = {"TA1": 0, "999": 1, "277CA": 2, "835": 3}
    facts = sorted(((json.loads(data), number, recorded) for _, number, recorded, data in received), key=lambda f: (order[f[0]["kind"]], f[2]))
    for fact, number, recorded in facts:
        row = rows.get(number)
        state = str(fact.get("verdict") or fact.get("status") or "")
        detail = " ".join(str(c) for c in fact.get("codes") or []) or " ".join(str(fact[k]) for k in ("charge", "paid", "trace") if k in fact)
        yield Step(str(fact["kind"]), row.isa13 if row else f"interchange/{number}", state, clock.iso(recorded), detail)


def _sent(row: StoredInterchange) -> Step:
    return Step("isa13", row.idempotency_key.rpartition("/")[2], row.state, clock.iso(row.sent or row.created), f"payer {row.payer}")


def _payments(chart: Chart, claim: Entry) -> Iterator[Step]:
    """Payments have no search parameter for their details: look at those of the claim's payer."""
    for payment in chart.find("PaymentReconciliation", payment_issuer=reference(claim.resource.get("insurer"))):
        details = [d for d in payment.resource.get("detail") or [] if reference(d.get("request")) == claim.reference]
        if details:
            amount = sum(d["amount"]["value"] for d in details)
            paid = payment.resource
            yield Step("paymentreconciliation", payment.reference, str(paid.get("outcome")), str(paid.get("paymentDate") or ""), str(amount))


def outcome(db: Database, outbox: Outbox, number: int, verdict: str) -> StoredInterchange:
    """Record what an operator found out about an interchange whose outcome is unknown.

    Args:
        db: Where interchanges are.
        outbox: Where it is queued again.
        number: Number of the interchange.
        verdict: received (the payer has it), resend (the payer does not: send it again under the same key), lost (give it up).

    Raises:
        Invalid: The interchange is not in state unknown, or the verdict is none of these.
    """
    if verdict not in OUTCOMES:
        raise Invalid(f"The outcome must be one of {', '.join(OUTCOMES)}.")

    def work(tx: Tx) -> StoredInterchange:
        row = interchange(tx, number)
        if row is None:
            raise NotFound("There is no interchange of this number.")
        if not move(tx, number, [UNKNOWN], OUTCOMES[verdict], note=f"operator: {verdict}"):
            raise Invalid(f"The interchange is {row.state}; only an unknown outcome can be decided.")
        if verdict == "resend":
            outbox.publish(tx, "InterchangeQueued", f"interchange/{number}", key=f"payer/{row.payer}")
        return row._replace(state=OUTCOMES[verdict])

    return db.write(work)
