"""Metrics of payers, read from the store when somebody asks: any process may answer for all of them."""

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from chartloop.kernel.db import Database
from chartloop.kernel.gauges import counter, gauge
from claims.payers import gates
from claims.payers.breaker import CLOSED, HALF_OPEN, OPEN
from claims.payers.limits import LimitsOf
from claims.payers.overview import PayerState, overview
from claims.payers.tally import OUTCOMES, Tally

CALLS, SHED, BREAKER, WAITING, OLDEST = (
    "chartloop_payer_calls_total", "chartloop_payer_shed_total", "chartloop_payer_breaker", "chartloop_payer_waiting",
    "chartloop_payer_oldest_age_seconds",
)  # fmt: skip
_BREAKER = {CLOSED: 0.0, HALF_OPEN: 1.0, OPEN: 2.0}


class PayerCollector(Collector):
    """Calls, breakers and queues by payer, zeroes included."""

    def __init__(self, database: Database, limits_of: LimitsOf) -> None:
        """Read from this database, under every payer's limits."""
        self._db, self._limits_of = database, limits_of

    def collect(self) -> Iterable[Metric]:
        """Read how it stands."""
        with self._db.read() as session:
            states, tally = overview(session, self._limits_of), Tally(session)
        yield _calls(states, tally)
        yield _shed(states, tally)
        breaker, waiting, oldest = gauge(BREAKER), gauge(WAITING), gauge(OLDEST)
        for each in states:
            for lane, state in ((gates.SENDING, each.sending), (gates.MAILBOX, each.mailbox)):
                breaker.add_metric([each.payer, lane], _BREAKER[state])
            for name, number in each.waiting.items():
                waiting.add_metric([each.payer, name], float(number))
            oldest.add_metric([each.payer], each.oldest_s)
        yield from (breaker, waiting, oldest)


def _calls(states: list[PayerState], tally: Tally) -> Metric:
    family = counter(CALLS)
    for each in states:
        for lane, outcomes in OUTCOMES.items():
            for outcome in outcomes:
                family.add_metric([each.payer, lane, outcome], float(tally.calls(each.payer, lane, outcome)))
    return family


def _shed(states: list[PayerState], tally: Tally) -> Metric:
    family = counter(SHED)
    for each in states:
        for reason in gates.REASONS:
            family.add_metric([each.payer, reason], float(tally.shed(each.payer, reason)))
    return family
