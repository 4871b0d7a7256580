"""The accounting of disclosures of one patient: to whom, what, when and for what, over six years.

What need not be listed (treatment, payment, operations, to the patient) is told apart, not left out: who asks may want to see it.
Spec: 45 CFR 164.528(a)(1), (b)(2)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.audit.index import Wanted, entity_of, find
from chartloop.kernel.audit.reading import records_at
from chartloop.kernel.audit.record import Kept, read_kept
from chartloop.kernel.audit.retention import YEAR_US
from chartloop.kernel.db_session import Session

YEARS: Final = 6
DISCLOSING: Final = frozenset({"disclosure", "claim-sent", "export", "audit-export", "omop-lineage"})
"""Interactions that hand something to somebody outside, whatever their purpose."""

EXEMPT: Final[Mapping[str, str]] = MappingProxyType({
    "TREAT": "treatment", "ETREAT": "treatment in an emergency", "BTG": "treatment, by break-glass", "HPAYMT": "payment", "HOPERAT": "health care operations",
    "PATRQT": "at the patient's own request",
})  # fmt: skip
"""Purposes of use (v3-ActReason) that 164.528(a)(1) leaves out of the accounting."""

_PAGE: Final = 500
_MAY_HAVE_ARRIVED: Final = ("claim-sent", "4")


class Disclosure(NamedTuple):
    """One disclosure.

    Attributes:
        seq: Number of its record.
        recorded: When, microseconds since 1970 UTC.
        who: Who received it or asked for it.
        what: Names of what was disclosed.
        purpose: Purpose of use, a code of v3-ActReason.
        listed: Whether the accounting has to list it.
        why: Why it has to, or need not, be listed.
    """

    seq: int
    recorded: int
    who: str
    what: tuple[str, ...]
    purpose: str
    listed: bool
    why: str


def disclosures(session: Session, directory: Path, patient: str, *, since: int | None = None) -> list[Disclosure]:
    """List the disclosures of a patient, the newest first.

    Args:
        session: Reads the log.
        directory: Where the journal's segments are.
        patient: Reference, "Patient/1".
        since: Microsecond to begin with; None is six years ago.
    """
    start = clock.now_us() - YEARS * YEAR_US if since is None else since
    found = [(seq, kept) for seq, kept in _records(session, directory, Wanted(patients=(patient,), since=start)) if _discloses(kept, patient)]
    released = {target for _, kept in found if kept.interaction == "disclosure" for target in map(entity_of, kept.targets)}
    return [_disclosure(seq, kept, patient) for seq, kept in found if not _is_told(kept, released)]


def _records(session: Session, directory: Path, wanted: Wanted) -> Iterator[tuple[int, Kept]]:
    before: int | None = None
    while numbers := find(session, wanted, before=before, limit=_PAGE):
        for record in records_at(session, directory, numbers):
            kept = read_kept(record.body)
            if kept is not None:
                yield record.seq, kept
        before = numbers[-1]


def _discloses(kept: Kept, patient: str) -> bool:
    """Whether something of the patient was handed out: by its kind, or because it was read for another end than care, payment or running the house."""
    if kept.outcome != "0" and (kept.interaction, kept.outcome) != _MAY_HAVE_ARRIVED:
        return False
    if kept.interaction in DISCLOSING:
        return True
    reads = kept.action in ("R", "E") and kept.interaction != "audit-read"
    return reads and (kept.subject.purpose not in EXEMPT or kept.agent == patient) and bool(kept.subject.role)


def _is_told(kept: Kept, released: set[str]) -> bool:
    """Whether an interchange carries only claims whose release is listed already."""
    claims = {target for target in kept.targets if target.startswith("Claim/")}
    return kept.interaction == "claim-sent" and bool(claims) and claims <= released


def _disclosure(seq: int, kept: Kept, patient: str) -> Disclosure:
    purpose = kept.subject.purpose
    who = kept.query if kept.interaction == "claim-sent" else kept.agent
    what = tuple(dict.fromkeys(map(entity_of, kept.targets)))
    if kept.agent == patient:
        return Disclosure(seq, kept.recorded, who, what, purpose, listed=False, why="to the patient")
    exempt = EXEMPT.get(purpose)
    return Disclosure(seq, kept.recorded, who, what, purpose, listed=exempt is None, why=exempt or "neither treatment, payment nor operations")
