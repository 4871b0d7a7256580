"""Records of what happens at the authorization server: tokens, refusals, consent, changes of clients and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.record import AuditRecord

if TYPE_CHECKING:
    from smart_apps.server.authorizations import Authorization

DONE = "0"
REFUSED = "4"


def client_subject(client_id: str) -> Subject:
    """Name a client, or a caller that is none, where no person acts."""
    return Subject(id=f"client:{client_id}" if client_id else "anonymous", role="", client=client_id)


def record(interaction: str, subject: Subject, *, outcome: str = DONE, patient: str = "", reason: str = "") -> AuditRecord:
    """Write one record; never a secret, and of a patient the reference alone."""
    return AuditRecord("E", interaction, outcome, subject, (), (patient,) if patient else (), reason=reason)


def of_authorization(interaction: str, given: Authorization, reason: str, *, outcome: str = DONE) -> AuditRecord:
    """Write what happened to the tokens of an authorization."""
    who = given.subject
    subject = Subject(id=who.id, role=who.role, user=who.user, patient=who.patient, session=given.session, client=given.client_id, purpose=who.purpose)
    patient = who.patient or (f"Patient/{given.context.patient}" if given.context.patient else "")
    return record(interaction, subject, outcome=outcome, patient=patient, reason=reason)
