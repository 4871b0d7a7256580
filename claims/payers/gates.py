"""The gate in front of a payer: bulkhead, token bucket and breaker. Who is not let through goes back to the queue; that is no attempt.

Spec: ADR 0031
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chartloop.kernel.db import Database
from claims.payers.breaker import Breakers, PayerResting
from claims.payers.bucket import Buckets
from claims.payers.call import NotReached, OutcomeUnknown, Refused
from claims.payers.limits import LimitsOf
from claims.payers.places import Place, Places

SENDING, MAILBOX = "sending", "mailbox"
LANES = (SENDING, MAILBOX)
BUSY, THROTTLED, RESTING = "busy", "throttled", "resting"
REASONS = (BUSY, THROTTLED, RESTING)
_BUSY_S = 0.5
_WORDS = {
    BUSY: "as many calls to the payer as it may take are under way",
    THROTTLED: "the payer gets no more calls in this second",
    RESTING: "the payer failed too often and rests",
}


class Shed(Exception):
    """Not let through: come again after a while."""

    def __init__(self, reason: str, delay_s: float) -> None:
        """Say why, and after how long to come again."""
        super().__init__(_WORDS[reason])
        self.reason, self.delay_s = reason, delay_s


@dataclass(slots=True)
class Passage:
    """The right to call a payer; `probe` when it is the one call that shows whether the payer is back."""

    place: Place
    probe: bool
    answered: bool = False
    """Set by the caller when the payer has answered as it should."""


class Gates:
    """The gates of every payer. Sending and the mailbox have lanes of their own: an unreadable mailbox must not stop sending, nor the other way round."""

    def __init__(self, db: Database, limits_of: LimitsOf) -> None:
        """Take where breakers are kept, and every payer's limits."""
        self._limits_of = limits_of
        self._breakers = Breakers(db, limits_of)
        self._places, self._buckets = Places(), Buckets()

    @contextmanager
    def enter(self, payer: str, lane: str) -> Iterator[Passage]:
        """Let one call through, or raise Shed; what the block raises tells the breaker how the payer is."""
        limits, key = self._limits_of(payer), f"{lane}/{payer}"
        place = self._places.take(key, limits.calls_at_once)
        if place is None:
            raise Shed(BUSY, _BUSY_S)
        try:
            wait_s = self._buckets.wait_s(key, limits.calls_per_s)
            if wait_s > 0:
                raise Shed(THROTTLED, wait_s)
            try:
                admission = self._breakers.admit(payer, lane)
            except PayerResting as error:
                raise Shed(RESTING, error.delay_s) from None
            self._buckets.take(key, limits.calls_per_s)
            passage = Passage(place, admission.probe)
            try:
                yield passage
            except (NotReached, OutcomeUnknown):
                self._breakers.failed(payer, lane)
                raise
            except Refused:
                passage.answered = True  # whoever refuses is there
                raise
            finally:
                if passage.answered:
                    self._breakers.succeeded(payer, lane, admission)
        finally:
            place.leave()
