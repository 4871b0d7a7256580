"""Read payers' mailboxes: each payer on its own thread, raw bytes stored before anything looks at them, the same bytes once."""

import hashlib
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.errors import ChartloopError
from chartloop.kernel.inbox import accept
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.worker import Periodic
from claims.interchange_store import RECEIVED, add_interchange, mailbox_position, payers, set_mailbox_position
from claims.payers import gates, tally
from claims.payers.client import EgressRefused, NotReached, OutcomeUnknown, PayerClient
from claims.payers.directory import Directory
from claims.payers.gates import Gates, Shed
from claims.payers.trail import answer_record

_log = logging.getLogger(__name__)
_PAGE = 100
_PAGES = 100
"""Most pages that are read at one poll."""


class Mailboxes:
    """Takes what payers put out for us."""

    def __init__(self, db: Database, outbox: Outbox, directory: Directory, client: PayerClient, gates: Gates, audit: Audit) -> None:
        """Take the store of interchanges, the events, the payers and the audit log."""
        self._audit = audit
        self._db, self._outbox, self._directory, self._client, self._gates = db, outbox, directory, client, gates
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def periodic(self, interval_s: float) -> Periodic:
        """Return the periodic that polls every payer."""
        return Periodic("claims-mailboxes", interval_s, self.poll)

    def poll(self) -> None:
        """Start a thread for every payer that is not being read already; a hanging payer holds only its own."""
        with self._db.read() as session:
            known = payers(session)
        for payer in known:
            with self._lock:
                if payer in self._busy:
                    continue
                self._busy.add(payer)
            threading.Thread(target=self._run, args=(payer,), daemon=True, name="chartloop-mailbox").start()

    def _run(self, payer: str) -> None:
        try:
            self.read(payer)
        except Shed:
            pass  # the next poll comes by itself
        except (NotReached, OutcomeUnknown, EgressRefused) as error:
            _log.info("A mailbox could not be read.", extra={"action": "mailbox.failed", "reason": type(error).__name__})
            with suppress(ChartloopError):
                self._db.write(lambda tx: tally.count_call(tx, payer, gates.MAILBOX, tally.FAILED))
        except Exception:  # the thread of one payer must not die silently
            _log.exception("A mailbox could not be read.", extra={"action": "mailbox.failed"})
        finally:
            with self._lock:
                self._busy.discard(payer)

    def read(self, payer: str) -> int:
        """Take everything new from one payer; return how many items came."""
        address = self._directory.payer(payer).address
        if not address:
            return 0
        count = 0
        for _ in range(_PAGES):
            with self._db.read() as session:
                after = mailbox_position(session, payer)
            with self._gates.enter(payer, gates.MAILBOX) as passage:
                items = self._client.mailbox(payer, address, after, _PAGE, passage.place)
                passage.answered = True
            new = sorted((item for item in items if item["n"] > after), key=lambda item: int(item["n"]))
            for item in new:
                self._db.write(partial(self._take, payer, item))
            count += len(new)
            if len(items) < _PAGE or not new:  # a mailbox that gives the same again and again is left for now
                break
        return count

    def _take(self, payer: str, item: Mapping[str, Any], tx: Tx) -> None:
        if receive(tx, self._outbox, payer, str(item["body"]).encode("utf-8", "surrogatepass")):
            self._audit.change(tx, answer_record(payer, int(item["n"])))
        set_mailbox_position(tx, payer, int(item["n"]))
        tally.count_call(tx, payer, gates.MAILBOX, tally.READ)


def receive(tx: Tx, outbox: Outbox, payer: str, body: bytes) -> bool:
    """Store what came from a payer; say whether it is new."""
    digest = hashlib.sha256(body)
    if not accept(tx, f"payer/{payer}", digest.hexdigest(), digest.digest()):
        return False
    number = add_interchange(tx, "in", payer, "", "", "", RECEIVED, f"{payer}/{digest.hexdigest()}", body)
    outbox.publish(tx, "InterchangeReceived", f"interchange/{number}", key=f"payer/{payer}")
    return True
