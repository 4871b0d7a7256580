"""Send queued interchanges: a lane per payer; what may have arrived is never sent again by itself."""

import logging

from chartloop.kernel import clock
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.signals import BREAKER, BREAKER_STATES
from chartloop.kernel.worker import Later, Once, Permanent
from claims.attention import NOT_SENT, UNKNOWN_OUTCOME, attention, raise_attention
from claims.chart import Chart
from claims.interchange_store import QUEUED, REJECTED, SENDING, SENT, UNKNOWN, StoredInterchange, interchange_of, move
from claims.payers.breaker import Breakers, PayerResting
from claims.payers.client import EgressRefused, NotReached, OutcomeUnknown, PayerClient, Refused
from claims.payers.directory import Directory
from claims.payers.trail import sent_record

_log = logging.getLogger(__name__)


class SendingConsumer:
    """Delivers interchanges to payers, each payer behind its own bulkhead."""

    name = "claims-sending"
    types = frozenset({"InterchangeQueued"})
    subjects: frozenset[str] = frozenset()
    isolation = "key"

    def __init__(
        self,
        db: Database,
        chart: Chart,
        directory: Directory,
        client: PayerClient,
        breakers: Breakers,
        audit: Audit,
        *,
        retry_s: float = 2.0,
        max_age_s: float = 86_400.0,
    ) -> None:
        """Take the queue, the payers, the audit log, and how long to try."""
        self._db, self._chart, self._directory, self._client, self._breakers, self._audit = db, chart, directory, client, breakers, audit
        self._retry_s, self._max_age_s = retry_s, max_age_s

    def signals(self) -> dict[str, dict[str, int]]:
        """How each payer's breaker stands, as this process knows it."""
        return {BREAKER: {payer: BREAKER_STATES.index(state) for payer, state in self._breakers.states().items()}}

    def handle(self, event: Event, once: Once) -> None:
        """Send one interchange if it still waits."""
        row = interchange_of(self._db, event)
        if row.state == SENDING:
            # Whoever sent it died before the answer: the payer may have it. Ask, do not repeat.
            self._unknown(row, "the process ended while sending", once)
        elif row.state == QUEUED:
            self._deliver(row, once)

    def _deliver(self, row: StoredInterchange, once: Once) -> None:
        address = self._directory.payer(row.payer).address
        if not address:
            self._not_now(row, "the payer has no endpoint")
        if not self._db.write(lambda tx: move(tx, row.id, [QUEUED], SENDING, attempt=True)):
            return
        key = row.idempotency_key.rpartition("/")[2]
        try:
            self._breakers.call(row.payer, lambda: self._client.send(address, row.body, key))
        except (PayerResting, NotReached) as error:
            why = str(error)[:200]
            self._db.write(lambda tx: move(tx, row.id, [SENDING], QUEUED, note=why))
            self._not_now(row, why or "the payer rests")
        except (Refused, EgressRefused) as error:
            self._finish(row, REJECTED, str(error), once)
            self._ask(NOT_SENT, row)
        except OutcomeUnknown as error:
            self._unknown(row, str(error), once)
        else:
            self._finish(row, SENT, "", once)

    def _not_now(self, row: StoredInterchange, why: str) -> None:
        age_s = (clock.now_us() - row.created) / 1_000_000
        if age_s > self._max_age_s:
            self._ask(NOT_SENT, row)
            raise Permanent(f"The payer could not be reached for {age_s / 3600:.0f} hours: {why}.")
        _log.info("A payer could not be reached; trying again.", extra={"action": "interchange.later", "interchange": row.id})
        raise Later(max(self._retry_s, self._breakers.rest_s / 4))

    def _finish(self, row: StoredInterchange, state: str, note: str, once: Once) -> None:
        said = sent_record(self._db, self._chart, row, state)

        def work(tx: Tx) -> None:
            once(tx)
            self._audit.change(tx, said)
            # An answer may have come by the mailbox before the call returned: then it stays acknowledged.
            move(tx, row.id, [SENDING, UNKNOWN], state, note=note[:200])

        self._db.write(work)

    def _unknown(self, row: StoredInterchange, why: str, once: Once) -> None:
        said = sent_record(self._db, self._chart, row, UNKNOWN)

        def work(tx: Tx) -> None:
            once(tx)
            self._audit.change(tx, said)
            move(tx, row.id, [SENDING], UNKNOWN, note=why[:200])

        self._ask(UNKNOWN_OUTCOME, row)
        self._db.write(work)
        _log.warning("It is unknown whether a payer has an interchange.", extra={"action": "interchange.unknown", "interchange": row.id})

    def _ask(self, kind: str, row: StoredInterchange) -> None:
        raise_attention(self._chart, attention(kind, f"interchange/{row.id}", clock.iso(clock.now_us())))
