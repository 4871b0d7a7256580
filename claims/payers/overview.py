"""How it stands with every payer: breakers, what waits and since when, what became of calls."""

from typing import NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.db import Session
from claims.interchange_store import QUEUED, SENDING, UNKNOWN, payers, waiting
from claims.payers import gates
from claims.payers.breaker import state
from claims.payers.limits import LimitsOf
from claims.payers.tally import Tally

WAITING = (QUEUED, SENDING, UNKNOWN)


class PayerState(NamedTuple):
    """One payer."""

    payer: str
    sending: str
    """Breaker of sending: closed, open or half-open."""
    mailbox: str
    """Breaker of the mailbox."""
    waiting: dict[str, int]
    """Interchanges by state: queued, sending, unknown."""
    oldest_s: float
    """Age of the oldest that is queued or being sent, 0 where there is none."""
    shed: int
    """How often something went back to the queue without a call."""


def overview(session: Session, limits_of: LimitsOf) -> list[PayerState]:
    """Look at every payer that something was ever queued for."""
    rows, tally = waiting(session), Tally(session)
    return [_payer(session, payer, [row[1:] for row in rows if row[0] == payer], tally, limits_of) for payer in payers(session)]


def _payer(session: Session, payer: str, rows: list[tuple[str, int, int]], tally: Tally, limits_of: LimitsOf) -> PayerState:
    counts = dict.fromkeys(WAITING, 0) | {each: number for each, number, _ in rows}
    now = clock.now_us()
    oldest = min((created for each, _, created in rows if each != UNKNOWN), default=now)
    sending, mailbox = (state(session, payer, lane, limits_of(payer)) for lane in gates.LANES)
    return PayerState(payer, sending, mailbox, counts, max(0.0, (now - oldest) / 1e6), tally.shed_in_all(payer))
