"""What is recorded of logins and of people: who, how, from where; never what was typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.record import AuditRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, REFUSED = "0", "4"


def login_record(interaction: str, who: Subject, *, reason: str = "", request: str = "", outcome: str = DONE) -> AuditRecord:
    """Record what somebody did with their own login.

    Args:
        interaction: login, login-failed, lockout, logout or user-changed.
        who: Whose login; of somebody unknown the keyed hash of what was typed, for people type passwords there.
        reason: How, or why not, and from which address.
        request: Id of the request.
        outcome: "0" done, "4" refused.
    """
    return AuditRecord("E", interaction, outcome, who, (who.id,), (who.patient,) if who.patient else (), request=request, reason=reason)


def people_record(interaction: str, who: Subject, targets: Sequence[str], reason: str) -> AuditRecord:
    """Record what an administrator did to people: user-created or user-changed."""
    action = "C" if interaction == "user-created" else "U"
    return AuditRecord(action, interaction, DONE, who, tuple(targets), (), reason=reason)


def stranger(hash_: bytes) -> Subject:
    """Stand for somebody who typed a login that nobody has: the keyed hash of it."""
    return Subject(id=f"login:{hash_.hex()[:32]}", role="")
