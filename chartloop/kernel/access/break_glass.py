"""Break the glass: in an emergency a person opens the chart of one patient for minutes, with a reason, in one session of one client.

The grant and its audit record are one transaction: what is not recorded opens nothing. It ends by itself, by `mend`, and with its session.
Spec: 45 CFR 164.312(a)(2)(ii); https://terminology.hl7.org/CodeSystem-v3-ActReason.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from chartloop.kernel import clock
from chartloop.kernel.access import grant_table
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.grants import GLASS, Grant
from chartloop.kernel.access.purposes import EMERGENCY
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db_session import Session, Tx
from chartloop.kernel.errors import Forbidden, Invalid

ACTION: Final = "break-glass"
SOURCE: Final = "break-glass"
MINUTES: Final = 15
LONGEST: Final = 500
"""Most characters of a reason."""

REASONS: Final[Mapping[str, str]] = {
    "ETREAT": "Emergency treatment",
    "TREAT": "I take over or consult, and no relation is recorded yet",
    "PATRQT": "The patient asks me to",
    "PUBHLTH": "An imminent danger to others",
}
"""Codes of v3-ActReason that may be given, and what people read."""


class Visit(Protocol):
    """A session of a person: the EHR's, or that of a token."""

    @property
    def id(self) -> str:
        """Id of the session."""
        ...

    @property
    def subject(self) -> Subject:
        """Whose it is."""
        ...


class TokenVisit(NamedTuple):
    """The session that a bearer token belongs to."""

    id: str
    subject: Subject


def may_break(access: Access, session: Visit, patient: str) -> bool:
    """Whether somebody has the right at all: a person who treats, in a session. It looks at nothing that is stored."""
    subject = session.subject
    row = RowAttributes("Patient", frozenset(), patient, "", "", patient.partition("/")[2])
    return bool(session.id and subject.user) and access.decides(Scope(subject, ACTION), row)


def require_glass(access: Access, session: Visit, patient: str, code: str, reason: str) -> None:
    """Refuse what may not break the glass, before anything is stored.

    Raises:
        Invalid: The code is not listed, or the reason is blank or too long.
        Forbidden: This role, or a subject without a name or a session, has no such right.
    """
    if not may_break(access, session, patient):
        raise Forbidden("Breaking the glass needs a person who treats, and a session.")
    if code not in REASONS:
        raise Invalid(f"A coded reason is needed, one of {', '.join(REASONS)}.", code="value", expression="Parameters.parameter.where(name='code')")
    if not reason.strip() or len(reason) > LONGEST:
        raise Invalid(f"A reason in words is needed, of at most {LONGEST} characters.", code="value", expression="Parameters.parameter.where(name='reason')")


def break_glass(
    tx: Tx, audit: Audit, session: Visit, patient: str, code: str, reason: str, *, access: Access, minutes: float = MINUTES, request: str = ""
) -> int:
    """Open the chart of one patient to one session.

    Args:
        tx: Transaction that stores the grant and its record.
        audit: The audit log.
        session: Who asks; `client` of its subject is the only one that gets in.
        patient: "Patient/1".
        code: One of `REASONS`.
        reason: Why, in words; kept in the audit log alone.
        access: The policies, which say who may.
        minutes: How long.
        request: Id of the request, for the record.

    Returns:
        When it ends, in microseconds.

    Raises:
        Invalid: The code is not listed, or the reason is blank or too long.
        Forbidden: This role, or a subject without a name or a session, has no such right.
    """
    require_glass(access, session, patient, code, reason)
    subject = session.subject
    now = clock.now_us()
    ends = now + int(minutes * 60_000_000)
    audit.change(tx, _record(subject, ACTION, patient, f"{code}: {reason.strip()}", request))
    _end(tx, session.id, patient, now)
    grant = Grant(GLASS, patient, subject.user, session.id, subject.client, starts=now, ends=ends, source=SOURCE, reason=code)
    grant_table.add(tx, [grant], {})
    return ends


def mend_glass(tx: Tx, audit: Audit, session: Visit, patient: str, *, request: str = "") -> bool:
    """Close again what this session opened; False: it was closed already."""
    if not _end(tx, session.id, patient, clock.now_us()):
        return False
    audit.change(tx, _record(session.subject, "grant-ended", patient, "", request))
    return True


def broken(reading: Session, session: str) -> frozenset[str]:
    """Patients whose glass a session has broken, now."""
    return frozenset(broken_until(reading, session))


def broken_until(reading: Session, session: str) -> Mapping[str, int]:
    """When each chart closes again whose glass a session has broken, in microseconds."""
    if not session:
        return {}
    now = clock.now_us()
    sql = "SELECT patient, MAX(ends) FROM access_grant WHERE session = ? AND kind = ? AND starts <= ? AND ends > ? GROUP BY patient"
    return {str(patient): int(ends) for patient, ends in reading.all(sql, (session, GLASS, now, now))}


def _end(tx: Tx, session: str, patient: str, now: int) -> int:
    sql = "UPDATE access_grant SET ends = ? WHERE session = ? AND kind = ? AND patient = ? AND ends > ?"
    return tx.run(sql, (now, session, GLASS, patient, now)) if session else 0


def _record(subject: Subject, interaction: str, patient: str, reason: str, request: str) -> AuditRecord:
    return AuditRecord("C", interaction, "0", replace(subject, purpose=EMERGENCY), (patient,), (patient,), request=request, reason=reason)
