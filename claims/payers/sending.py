"""Send queued interchanges: a lane per payer; what may have arrived is never sent again by itself."""

import logging
from functools import partial

from chartloop.kernel import clock
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later, Once, Permanent
from claims.attention import NOT_SENT, UNKNOWN_OUTCOME, attention, raise_attention
from claims.chart import Chart
from claims.interchange_store import QUEUED, REJECTED, SENDING, SENT, UNKNOWN, StoredInterchange, interchange_of, mailbox_position, move
from claims.payers import gates, tally
from claims.payers.client import EgressRefused, NotReached, OutcomeUnknown, PayerClient, Refused
from claims.payers.departure import Departure, StaysHere
from claims.payers.directory import Directory
from claims.payers.gates import Gates, Passage, Shed
from claims.payers.limits import LimitsOf
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
        gates: Gates,
        audit: Audit,
        departure: Departure,
        limits_of: LimitsOf,
        *,
        retry_s: float = 2.0,
    ) -> None:
        """Take the queue, the payers, the gates in front of them, the audit log, who decides again before anything leaves, and what holds for each payer."""
        self._db, self._chart, self._directory, self._client, self._gates, self._audit = db, chart, directory, client, gates, audit
        self._departure, self._limits_of, self._retry_s = departure, limits_of, retry_s

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
            self._not_now(row, "the payer has no endpoint", self._retry_s)
        try:
            with self._gates.enter(row.payer, gates.SENDING) as passage:
                self._send(row, address, passage, once)
        except StaysHere:
            return
        except Shed as shed:
            self._shed(row, shed)
        except NotReached as error:
            why = str(error)[:200]
            self._db.write(partial(self._back, row, why))
            self._not_now(row, why, self._retry_s)
        except (Refused, EgressRefused) as error:
            self._finish(row, REJECTED, str(error), once)
            self._ask(NOT_SENT, row)
        except OutcomeUnknown as error:
            self._unknown(row, str(error), once)
        else:
            if not passage.answered:
                raise Later(self._retry_s)  # somebody else began to send it meanwhile; what became of that has to be looked at
            self._finish(row, SENT, "", once)

    def _send(self, row: StoredInterchange, address: str, passage: Passage, once: Once) -> None:
        if passage.probe:
            # A payer that still hangs then costs a question, not an interchange whose outcome nobody knows.
            self._client.probe(row.payer, address, mailbox_position(self._db, row.payer), passage.place)
        if self._departure.take(row, once):
            self._client.send(row.payer, address, row.body, row.idempotency_key.rpartition("/")[2], passage.place)
            passage.answered = True

    def _back(self, row: StoredInterchange, why: str, tx: Tx) -> None:
        tally.count_call(tx, row.payer, gates.SENDING, tally.NOT_REACHED)
        move(tx, row.id, [SENDING], QUEUED, note=why)

    def _shed(self, row: StoredInterchange, shed: Shed) -> None:
        """Put it back: no attempt was made. Only a payer that rests lets it grow too old; one that is merely busy is there."""
        self._db.write(lambda tx: tally.count_shed(tx, row.payer, shed.reason))
        if shed.reason == gates.RESTING:
            self._not_now(row, str(shed), shed.delay_s)
        raise Later(shed.delay_s)

    def _not_now(self, row: StoredInterchange, why: str, delay_s: float) -> None:
        age_s = (clock.now_us() - row.created) / 1_000_000
        if age_s > self._limits_of(row.payer).max_age_s:
            self._ask(NOT_SENT, row)
            raise Permanent(f"The payer could not be reached for {age_s / 3600:.0f} hours: {why}.")
        _log.info("A payer could not be reached; trying again.", extra={"action": "interchange.later", "interchange": row.id})
        raise Later(delay_s)

    def _finish(self, row: StoredInterchange, state: str, note: str, once: Once) -> None:
        said = sent_record(self._db, self._chart, row, state)

        def work(tx: Tx) -> None:
            once(tx)
            self._audit.change(tx, said)
            tally.count_call(tx, row.payer, gates.SENDING, tally.SENT if state == SENT else tally.REFUSED)
            # An answer may have come by the mailbox before the call returned: then it stays acknowledged.
            move(tx, row.id, [SENDING, UNKNOWN], state, note=note[:200])

        self._db.write(work)

    def _unknown(self, row: StoredInterchange, why: str, once: Once) -> None:
        said = sent_record(self._db, self._chart, row, UNKNOWN)

        def work(tx: Tx) -> None:
            once(tx)
            self._audit.change(tx, said)
            tally.count_call(tx, row.payer, gates.SENDING, tally.UNKNOWN)
            move(tx, row.id, [SENDING], UNKNOWN, note=why[:200])

        self._ask(UNKNOWN_OUTCOME, row)
        self._db.write(work)
        _log.warning("It is unknown whether a payer has an interchange.", extra={"action": "interchange.unknown", "interchange": row.id})

    def _ask(self, kind: str, row: StoredInterchange) -> None:
        raise_attention(self._chart, attention(kind, f"interchange/{row.id}", clock.iso(clock.now_us())))
