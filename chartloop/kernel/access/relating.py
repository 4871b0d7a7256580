"""A care relation that somebody declares, where nothing stored says it."""

from __future__ import annotations

from chartloop.kernel import clock
from chartloop.kernel.access import grant_table
from chartloop.kernel.access.grants import CARE, Grant
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db_session import Tx
from chartloop.kernel.errors import Invalid

DAY_US = 86_400_000_000


def relate(tx: Tx, audit: Audit, who: Subject, patient: str, user: str, days: float) -> None:
    """Let a person treat a patient for some days, or no more.

    Args:
        tx: Transaction that stores the grant and its record.
        audit: The audit log.
        who: Who says so.
        patient: "Patient/1".
        user: "Practitioner/1".
        days: How long, from now; 0 ends what was declared before.

    Raises:
        Invalid: One of them is no reference of its kind, or the days are negative.
    """
    if not patient.startswith("Patient/") or "/" not in user or days < 0:
        raise Invalid("A relation needs a patient, a person and a number of days.", code="value")
    source, now = f"declared/{user}/{patient}", clock.now_us()
    grant_table.remove_source(tx, source)
    if days:
        grant_table.add(tx, [Grant(CARE, patient, user, starts=now, ends=now + int(days * DAY_US), source=source)], {})
    word = "grant-created" if days else "grant-ended"
    audit.change(tx, AuditRecord("C" if days else "D", word, "0", who, (patient, user), (patient,)))
