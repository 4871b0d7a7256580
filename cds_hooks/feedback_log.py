"""Where feedback is kept: once per card and moment, with its audit record, never more in a day than was set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cds_hooks.feedback import Feedback
from chartloop.kernel import clock
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.errors import Throttled

_DAY_US: Final = 86_400 * 1_000_000
_SENDER: Final = Subject(id="cds-client", role="")
"""CDS Hooks sends feedback without a token: only the card's own id vouches for it."""

_INSERT: Final = (
    "INSERT INTO cds_feedback (card, happened, received, service, model, outcome, reason_system, reason_code, comment)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (card, happened) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class FeedbackLog:
    """Feedback in the database; it only grows."""

    database: Database
    audit: Audit
    per_day: int

    def keep(self, service: str, entries: Sequence[Feedback], request_id: str) -> int:
        """Keep entries in one transaction; return how many are new.

        Raises:
            Throttled: The day's number is used up; nothing of these entries was kept.
        """
        received = clock.now_us()

        def work(tx: Tx) -> int:
            new = [each for each in entries if tx.run(_INSERT, _row(tx, service, each, received))]
            row = tx.one("SELECT count(*) FROM cds_feedback WHERE received > ?", (received - _DAY_US,))
            if new and row and row[0] > self.per_day:
                raise Throttled("There was too much feedback today; nothing of this was kept.")
            if new:
                targets = tuple(f"cds-card/{each.card}" for each in new)
                self.audit.change(tx, AuditRecord("C", "cds-feedback", "0", _SENDER, targets, (), request=request_id))
            return len(new)

        return self.database.write(work)


def _row(tx: Tx, service: str, each: Feedback, received: int) -> tuple[object, ...]:
    comment = tx.columns.keep_text(each.comment, "cds_feedback.comment", each.card, each.happened)
    return (each.card, each.happened, received, service, each.model, *each._replace(comment=comment)[3:])
