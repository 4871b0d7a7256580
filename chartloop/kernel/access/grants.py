"""Grants: what makes one subject's decision on one patient's row differ from another's, though role, type and labels are the same.

A policy asks for them as boolean attributes of the row (`resource.treated`). In memory they are looked up here, in SQL they are EXISTS
over the same table (grant_sql.py); both are exact at the moment of the statement, so nothing is cached that a revocation could outlive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from chartloop.kernel.access.labels import CODES
from chartloop.kernel.access.purposes import kinds_of
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.subject import Subject

CARE, GLASS, ASSIGNMENT, DENIAL, PERMISSION, RESTRICTION, SELF_PAID = range(1, 8)

#: Attribute of a row that policies name -> kind of the grants that make it true. Kinds are stored: append, never renumber.
FACTS: Final[Mapping[str, int]] = {
    "treated": CARE,
    "brokenGlass": GLASS,
    "assigned": ASSIGNMENT,
    "consentDenied": DENIAL,
    "consented": PERMISSION,
    "restricted": RESTRICTION,
    "selfPaid": SELF_PAID,
}
PERSONAL: Final = frozenset({"treated", "brokenGlass"})
"""Attributes that only a subject with a name can have."""

SAID_BY_PATIENTS: Final = frozenset({DENIAL, PERMISSION, RESTRICTION, SELF_PAID})
"""Kinds that a provision of a Consent makes, and that a provision inside it takes back."""

FOREVER: Final = 2**62
"""End of what has no end."""


class Grant(NamedTuple):
    """One row; an empty text or a zero means that any will do.

    Attributes:
        kind: One of the constants above.
        patient: Whose chart, "Patient/1".
        actor: Whom it concerns, "Practitioner/1".
        session: Session in which glass was broken.
        client: Client that broke it.
        purpose: Code of v3-ActReason.
        label: Number of a sensitivity label.
        type: Resource type.
        target: Id of one resource of that type.
        starts: Microseconds; from then on.
        ends: Microseconds; not any more from then on.
        source: What made it, "Consent/1" or "break-glass".
        node: Number of a provision within its Consent.
        parent: Number of the provision around it, 0 = none.
        reason: Coded reason of broken glass.
    """

    kind: int
    patient: str
    actor: str = ""
    session: str = ""
    client: str = ""
    purpose: str = ""
    label: int = 0
    type: str = ""
    target: str = ""
    starts: int = 0
    ends: int = FOREVER
    source: str = ""
    node: int = 0
    parent: int = 0
    reason: str = ""


class GrantSource(Protocol):
    """Where grants are kept."""

    def of(self, patients: Collection[str], user: str) -> Sequence[Grant]:
        """Grants on these patients that concern this user or anybody, of whatever time."""
        ...


class NoGrants:
    """Nothing was ever granted."""

    def of(self, patients: Collection[str], user: str) -> Sequence[Grant]:
        """Return nothing."""
        return ()


def facts(names: Iterable[str], subject: Subject, row: RowAttributes, grants: Sequence[Grant], now: int) -> frozenset[str]:
    """Find which of these attributes of a row are true for a subject at a moment."""
    own = [grant for grant in grants if grant.patient == row.patient] if row.patient else []
    return frozenset(name for name in names if _holds(FACTS[name], subject, row, own, now)) if own else frozenset()


def _holds(kind: int, subject: Subject, row: RowAttributes, own: Sequence[Grant], now: int) -> bool:
    met = (grant for grant in own if grant.kind == kind and _meets(grant, subject, row, now))
    if kind not in SAID_BY_PATIENTS:
        return any(met)
    return any(not _taken_back(grant, subject, row, own, now) for grant in met)


def _taken_back(grant: Grant, subject: Subject, row: RowAttributes, own: Sequence[Grant], now: int) -> bool:
    """Whether a provision inside this one speaks of the same request."""
    return any(inner.source == grant.source and inner.parent == grant.node and _meets(inner, subject, row, now) for inner in own if inner.kind in SAID_BY_PATIENTS)


def _meets(grant: Grant, subject: Subject, row: RowAttributes, now: int) -> bool:
    if not grant.starts <= now < grant.ends:
        return False
    if grant.kind == CARE:
        return grant.actor == subject.user != ""
    if grant.kind == GLASS:
        return grant.actor == subject.user != "" and grant.session == subject.session != "" and grant.client == subject.client
    return (
        grant.actor in ("", subject.user)
        and grant.purpose in ("", *kinds_of(subject.purpose))
        and grant.type in ("", row.type)
        and grant.target in ("", row.id)
        and (not grant.label or CODES.get(grant.label) in row.labels)
    )
