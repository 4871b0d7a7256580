"""The relay: publishes the outbox to the stream, in its order, by one process at a time."""

import logging
import threading
from collections.abc import Sequence
from typing import Final

from chartloop.kernel.broker import LeaseLost
from chartloop.kernel.db_session import Database, Row, Session, Tx
from chartloop.kernel.dead_letters import DeadLetter
from chartloop.kernel.events import Event
from chartloop.kernel.outbox_order import after
from chartloop.kernel.streams.envelope import encode, encode_dead
from chartloop.kernel.streams.leader import Leader
from chartloop.kernel.streams.ports import AGAIN_S, Mark, Record, Sink, Stream, StreamBroken
from chartloop.kernel.streams.positions import RELAY, cursor, move_cursor, sent

_log = logging.getLogger(__name__)
BATCH: Final = 1000
"""Events that are in flight at most: the memory that an absent broker costs."""
_COLUMNS = "xid, seq, id, type, subject, version, key, trace, recorded"
_UNSETTLED_S = 0.02
_DEAD_PREFIX = "dead-letter/"


class Stopped(Exception):
    """The relay was told to stop."""


class Relay:
    """A durable cursor over the outbox that moves only when the broker has acknowledged everything up to there."""

    def __init__(self, database: Database, leader: Leader, stream: Stream, *, source: str, parts: int, poll_s: float, create: bool = True) -> None:
        """Publish from this database; the number of parts is fixed at the first start, for it decides where a key goes."""
        self._db = database
        self._leader = leader
        self._stream = stream
        self._source = source
        self._parts = parts
        self._poll_s = poll_s
        self._create = create
        self._told = threading.Event()
        self._stopping = threading.Event()

    def tell(self) -> None:
        """Say that there is something to publish."""
        self._told.set()

    def stop(self) -> None:
        """End soon, wherever it is."""
        self._stopping.set()
        self._told.set()

    def run(self) -> None:
        """Publish until stopped, whenever this process leads."""
        while not self._stopping.is_set():
            try:
                if self._leader.lead():
                    self._publish_all()
            except (LeaseLost, Stopped):
                pass
            except StreamBroken as error:
                _log.warning("The stream takes nothing; it is tried again.", extra={"action": "stream.broken", "error": str(error)})
                self._stopping.wait(AGAIN_S)
            except Exception:
                _log.exception("The relay failed; it begins anew.", extra={"action": "relay.failed"})
                self._stopping.wait(AGAIN_S)
            self._stopping.wait(self._poll_s)
        self._leader.resign()

    def _publish_all(self) -> None:
        parts = self._db.write(self._subscribe)
        if self._create and (made := self._stream.create()):
            _log.info("Topics were made.", extra={"action": "topic.created", "topics": made})
        sink = self._stream.sink(parts)
        try:
            while True:
                self._alive()
                self._told.clear()
                if not self.publish(sink):
                    self._told.wait(self._wait_s())
        finally:
            sink.close()

    def _subscribe(self, tx: Tx) -> int:
        tx.run("INSERT INTO event_cursor (consumer, xid, seq, lanes) VALUES (?, -1, 0, ?) ON CONFLICT DO NOTHING", (RELAY, self._parts))
        row = tx.one("SELECT lanes FROM event_cursor WHERE consumer = ?", (RELAY,))
        return int(row[0]) if row else self._parts

    def _alive(self) -> None:
        if self._stopping.is_set():
            raise Stopped
        self._leader.keep()

    def _wait_s(self) -> float:
        """How long to wait for news; shortly where a transaction still hides some."""
        if self._db.dialect == "postgresql":
            with self._db.read() as session:
                newest = session.one("SELECT 1 FROM event WHERE (xid, seq) > (?, ?) LIMIT 1", cursor(session, RELAY))
            if newest:
                return min(self._poll_s, _UNSETTLED_S)
        return self._poll_s

    def publish(self, sink: Sink) -> int:
        """Publish the next events; return how many.

        Raises:
            LeaseLost: Another process leads; the cursor did not move.
        """
        with self._db.read() as session:
            settled = cursor(session, RELAY)
            rows = session.all(after(_COLUMNS, postgresql=session.dialect == "postgresql"), (*settled, BATCH))
            letters = _letters(session, rows)
        if not rows:
            return 0
        records = [Record(row[6], encode(Event(*row[2:]), self._source, Mark(*row[:2]), settled)) for row in rows]
        dead = [Record(letter.key, encode_dead(letter, self._source, at, settled), dead=True) for at, letter in letters]
        last = sink.send([*records, *dead], self._alive)
        marks = {shard: Mark(*rows[index][:2]) for shard, index in last.items()}

        def moved(tx: Tx) -> None:
            self._leader.fence(tx)
            move_cursor(tx, RELAY, Mark(*rows[-1][:2]))
            sent(tx, self._stream.name, marks)

        self._db.write(moved)
        return len(rows)


def _letters(session: Session, rows: Sequence[Row]) -> list[tuple[Mark, DeadLetter]]:
    """The dead letters that events tell of, as far as nobody has decided on them yet."""
    found = []
    for row in rows:
        if row[3] == "DeadLettered" and row[4].startswith(_DEAD_PREFIX):
            letter = session.one(f"SELECT {', '.join(DeadLetter._fields)} FROM dead_letter WHERE id = ?", (row[4].removeprefix(_DEAD_PREFIX),))
            if letter:
                found.append((Mark(*row[:2]), DeadLetter(*letter)))
    return found
