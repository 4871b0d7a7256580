"""Charts that a session has opened in an emergency, as the pages tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.access.break_glass import broken_until

if TYPE_CHECKING:
    from chartloop.kernel.db import Database
    from smart_apps.sessions import EhrSession

SECOND_US = 1_000_000


class OpenChart(NamedTuple):
    """A chart that is open for a while.

    Attributes:
        patient: Id of the patient.
        seconds: How long it stays open.
        until: When it closes, "14:35" in UTC.
    """

    patient: str
    seconds: int
    until: str

    @property
    def minutes(self) -> int:
        """Minutes that are left, the one that has begun among them."""
        return -(-self.seconds // 60)


def open_charts(database: Database, session: EhrSession) -> list[OpenChart]:
    """List the charts that this session has opened and not closed again, the first to close first."""
    if not session.subject.emergency:
        return []
    with database.read() as db:
        found = broken_until(db, session.id)
    now = clock.now_us()
    return [_chart(patient, ends, now) for patient, ends in sorted(found.items(), key=lambda each: each[1])]


def _chart(patient: str, ends: int, now: int) -> OpenChart:
    return OpenChart(patient.removeprefix("Patient/"), max(0, -(-(ends - now) // SECOND_US)), clock.iso(ends)[11:16])
