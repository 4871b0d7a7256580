"""What became of calls to payers, counted in the store beside what they changed."""

from chartloop.kernel.db import Session, Tx
from claims.control_numbers import count, counts
from claims.payers.gates import MAILBOX, REASONS, SENDING

SENT, REFUSED, NOT_REACHED, UNKNOWN, READ, FAILED = "sent", "refused", "not-reached", "unknown", "read", "failed"
OUTCOMES = {SENDING: (SENT, REFUSED, NOT_REACHED, UNKNOWN), MAILBOX: (READ, FAILED)}
"""How a call of each lane ends; a mailbox that was empty is not counted, since it is asked every few seconds."""


def count_call(tx: Tx, payer: str, lane: str, outcome: str) -> None:
    """Count a call."""
    count(tx, f"payer/{lane}/{outcome}/{payer}")


def count_shed(tx: Tx, payer: str, reason: str) -> None:
    """Count an interchange that went back to the queue without a call."""
    count(tx, f"payer/shed/{reason}/{payer}")


class Tally:
    """What was counted, by payer."""

    def __init__(self, session: Session) -> None:
        """Read everything."""
        self._counts = dict(counts(session, "payer/"))

    def calls(self, payer: str, lane: str, outcome: str) -> int:
        """How many calls ended so."""
        return self._counts.get(f"payer/{lane}/{outcome}/{payer}", 0)

    def shed(self, payer: str, reason: str) -> int:
        """How often the payer was not called for a reason, one of REASONS."""
        return self._counts.get(f"payer/shed/{reason}/{payer}", 0)

    def shed_in_all(self, payer: str) -> int:
        """How often the payer was not called."""
        return sum(self.shed(payer, reason) for reason in REASONS)
