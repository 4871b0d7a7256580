"""A circuit breaker per payer: who fails again and again is left alone, then asked once, and left alone for longer if that fails.

It is kept in the store, so that workers share it and a restart forgets nothing: how many failures came in a row, and when the rest ends.
After the rest whoever first moves its end on may probe; everybody else keeps waiting.
"""

from typing import NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.db import Database, OneRow, Tx
from claims.control_numbers import count, read_count, set_count
from claims.payers.limits import Limits, LimitsOf

CLOSED, HALF_OPEN, OPEN = "closed", "half-open", "open"
_SHORTEST_S = 0.05


class PayerResting(Exception):
    """The payer failed too often and is left alone for now."""

    def __init__(self, delay_s: float) -> None:
        """Say for how long."""
        super().__init__("the payer failed too often and rests")
        self.delay_s = delay_s


class Admission(NamedTuple):
    """A call may be made; a probe is the only one for now."""

    probe: bool
    failures: int


class Breakers:
    """The breakers of every payer, one for each lane (sending, mailbox)."""

    def __init__(self, db: Database, limits_of: LimitsOf) -> None:
        """Take where they are kept, and every payer's limits."""
        self._db, self._limits_of = db, limits_of

    def admit(self, payer: str, lane: str) -> Admission:
        """Let a call through, or raise PayerResting."""
        limits = self._limits_of(payer)
        failures, until = _row(self._db, payer, lane)
        if failures < limits.failures:
            return Admission(probe=False, failures=failures)
        now = clock.now_us()
        if _rests(until, now, limits):
            raise PayerResting(max(_SHORTEST_S, (until - now) / 1e6))
        mine = now + _us(_probe_s(limits))
        if not self._db.write(lambda tx: _move(tx, payer, lane, until, mine)):
            raise PayerResting(_SHORTEST_S)  # somebody else probes
        return Admission(probe=True, failures=failures)

    def failed(self, payer: str, lane: str) -> None:
        """Count a failure; the last one that is allowed begins a rest."""
        limits = self._limits_of(payer)

        def work(tx: Tx) -> None:
            beyond = count(tx, _failures(payer, lane)) - limits.failures
            if beyond >= 0:
                rest_s = min(limits.rest_max_s, limits.rest_s * 2.0 ** min(beyond, 30))
                set_count(tx, _until(payer, lane), clock.now_us() + _us(rest_s))

        self._db.write(work)

    def succeeded(self, payer: str, lane: str, admission: Admission) -> None:
        """Forget the failures."""
        if admission.failures:
            self._db.write(lambda tx: set_count(tx, _failures(payer, lane), 0))


def state(session: OneRow, payer: str, lane: str, limits: Limits) -> str:
    """Return closed, open, or half-open: the rest is over and the next call is a probe."""
    failures, until = _row(session, payer, lane)
    if failures < limits.failures:
        return CLOSED
    return OPEN if _rests(until, clock.now_us(), limits) else HALF_OPEN


def _rests(until: int, now: int, limits: Limits) -> bool:
    """A rest that ends later than any can was begun before the clock went back."""
    return now < until <= now + _us(max(limits.rest_max_s, _probe_s(limits)))


def _probe_s(limits: Limits) -> float:
    """How long a probe may take at most: a question, a delivery, and what lies around them."""
    return 3 * limits.timeout_s


def _move(tx: Tx, payer: str, lane: str, seen: int, until: int) -> bool:
    if not seen:
        return tx.run("INSERT INTO claims_counter (scope, value) VALUES (?, ?) ON CONFLICT DO NOTHING", (_until(payer, lane), until)) == 1
    return tx.run("UPDATE claims_counter SET value = ? WHERE scope = ? AND value = ?", (until, _until(payer, lane), seen)) == 1


def _row(session: OneRow, payer: str, lane: str) -> tuple[int, int]:
    failures = read_count(session, _failures(payer, lane))
    return failures, read_count(session, _until(payer, lane)) if failures else 0


def _failures(payer: str, lane: str) -> str:
    return f"payer/{lane}/failures/{payer}"


def _until(payer: str, lane: str) -> str:
    return f"payer/{lane}/rests-until/{payer}"


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
