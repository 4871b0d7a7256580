"""Audit records of what leaves for payers and comes from them.

Spec: 45 CFR 164.528 (an interchange that was sent, or may have been, was disclosed)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db import Database
from claims.chart import Chart
from claims.interchange_store import SENT, StoredInterchange, submissions
from claims.mapping.element import reference

CLAIM_SENT: Final = "claim-sent"
ANSWER_RECEIVED: Final = "answer-received"
PAYMENT: Final = "HPAYMT"
"""Purpose of use: claims and payment (v3-ActReason)."""


def sent_record(db: Database, chart: Chart, row: StoredInterchange, state: str) -> AuditRecord:
    """Compose the record of an interchange that was sent: its claims, and whose they are."""
    with db.read() as session:
        claims = [submission.claim for submission in submissions(session, row.id)]
    entries = [entry for claim in claims if (entry := chart.get(claim)) is not None]
    patients = {reference(entry.resource.get("patient")) for entry in entries} - {""}
    outcome, reason = ("0", "") if state == SENT else ("4", state)
    who = replace(chart.subject, purpose=PAYMENT)
    return AuditRecord("R", CLAIM_SENT, outcome, who, (f"interchange/{row.id}", *claims), tuple(sorted(patients)), f"payer/{row.payer}", reason=reason)


def answer_record(payer: str, number: int) -> AuditRecord:
    """Compose the record of what was taken from a payer's mailbox; whom it concerns the resources say that come of it."""
    return AuditRecord("C", ANSWER_RECEIVED, "0", Subject(id=f"payer:{payer}", role="", purpose=PAYMENT), (f"payer/{payer}/mailbox/{number}",), ())
