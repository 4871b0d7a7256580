"""What one consumer takes out of a stream goes into its slots, in one transaction with how far it has read."""

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from chartloop.kernel.broker import Group
from chartloop.kernel.broker_table import slot_of
from chartloop.kernel.db_session import Database, Row, Session, Tx
from chartloop.kernel.streams.envelope import decode, mark_of
from chartloop.kernel.streams.ports import Arrived, Mark
from chartloop.kernel.streams.positions import Held, cursor, held, move, move_cursor, relayed, taken

_log = logging.getLogger(__name__)
_BATCH: Final = 500
_COLUMNS = "xid, seq, id, type, subject, key"
_READY = (
    "SELECT count(*) FROM (SELECT 1 FROM delivery d LEFT JOIN delivery_hold h ON h.consumer = d.consumer AND h.key = d.key"
    " WHERE d.consumer = ? AND h.due IS NULL LIMIT ?) AS ready"
)


class Taking:
    """The store's side of reading: the row in the outbox is the truth, the stream says in which order to look at it.

    A record that names no row of this store (another store's, or one forgotten long ago) moves the position and nothing else.
    """

    def __init__(self, database: Database, group: Group, stream: str, wake: Callable[[], None]) -> None:
        """Take for a group; `wake` is called when there is work for it."""
        self._db = database
        self._group = group
        self._stream = stream
        self._wake = wake
        self._held: dict[str, Held] = {}

    def begin(self, shard: str, first: int, holds: Callable[[int], bool]) -> int:
        """Say after which position to read a shard; where the stream does not hold what comes next, catch up from the outbox first."""
        with self._db.read() as session:
            mine = held(session, self._group.name, self._stream).get(shard)
        if mine is None or not holds(mine.position):
            if mine is not None:
                _log.warning("A stream has lost what was not read; the outbox makes up for it.", extra={"action": "stream.lost", "consumer": self._group.name})
            floor = self.catch_up()
            fresh = Held(first, mine.last if mine else floor, mine.settled if mine else floor)
            self._db.write(lambda tx: move(tx, self._group.name, self._stream, shard, mine, fresh))
            mine = fresh
        self._held[shard] = mine
        return mine.position

    def catch_up(self) -> Mark:
        """Take from the outbox what the relay has published; return up to where."""
        while True:
            floor, more = self._db.write(self._catch_up)
            if not more:
                return floor

    def _catch_up(self, tx: Tx) -> tuple[Mark, bool]:
        floor, goal = cursor(tx, self._group.name, lock=True), relayed(tx)
        if floor >= goal:
            return floor, False
        rows = tx.all(f"SELECT {_COLUMNS} FROM event WHERE (xid, seq) > (?, ?) AND (xid, seq) <= (?, ?) ORDER BY xid, seq LIMIT ?", (*floor, *goal, _BATCH))
        self._deliver(tx, rows)
        more = len(rows) == _BATCH
        reached = Mark(*rows[-1][:2]) if more else goal
        move_cursor(tx, self._group.name, reached)
        return reached, more

    def take(self, arrived: Sequence[Arrived]) -> dict[str, int]:
        """Put what has come into slots; return the new positions.

        Raises:
            Moved: Another process has read on in one of the shards; nothing was taken.
        """
        after = self._db.write(lambda tx: self._take(tx, arrived))
        self._held |= after
        return {shard: each.position for shard, each in after.items()}

    def _take(self, tx: Tx, arrived: Sequence[Arrived]) -> dict[str, Held]:
        name = self._group.name
        floor = cursor(tx, name, lock=True)
        known = _known(tx, arrived)
        after: dict[str, Held] = {}
        for shard, records in groupby(sorted(arrived, key=lambda each: each.shard), key=lambda each: each.shard):
            after[shard] = _read_to(self._held[shard], list(records), known)
            move(tx, name, self._stream, shard, self._held[shard], after[shard])
        rows = [known[each].row for each in arrived if each in known]
        self._deliver(tx, [row for row in rows if Mark(*row[:2]) > floor])
        reached = taken(tx, name, self._stream, floor)
        if reached > floor:
            move_cursor(tx, name, reached)
        return after

    def _deliver(self, tx: Tx, rows: Sequence[Row]) -> None:
        row = tx.one("SELECT lanes FROM event_cursor WHERE consumer = ?", (self._group.name,))
        lanes = int(row[0]) if row else 1
        wanted = [
            (self._group.name, slot_of(self._group, key, lanes), key, seq)
            for _, seq, _, type_, subject, key in rows
            if self._group.wants(type_, subject)
        ]
        if wanted:
            tx.many("INSERT INTO delivery (consumer, slot, key, seq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", wanted)
            tx.after_commit(self._wake)

    def settle(self) -> None:
        """Move the consumer's cursor to where it has everything; the relay may have noted what it sent after that was taken."""
        name = self._group.name
        with self._db.read() as session:
            floor = cursor(session, name)
            if floor >= relayed(session) or taken(session, name, self._stream, floor) <= floor:
                return

        def work(tx: Tx) -> None:
            before = cursor(tx, name, lock=True)
            move_cursor(tx, name, taken(tx, name, self._stream, before))

        self._db.write(work)

    def again(self) -> dict[str, int]:
        """Where to read on after somebody else has read: look the positions up anew."""
        with self._db.read() as session:
            stored = held(session, self._group.name, self._stream)
        self._held = {shard: stored[shard] for shard in self._held if shard in stored}
        return {shard: each.position for shard, each in self._held.items()}

    def ready(self, most: int) -> int:
        """Count what could be handled now, up to a number; what a failure holds back does not count."""
        row = self._db.one(_READY, (self._group.name, most))
        return int(row[0]) if row else 0


class _Known(NamedTuple):
    """The row of the outbox that a record names, and up to where everything was acknowledged before the record was sent."""

    row: Row
    settled: Mark


def _known(session: Session, arrived: Sequence[Arrived]) -> dict[Arrived, _Known]:
    """What records name, where this store has it."""
    named: dict[Arrived, tuple[tuple[int, str], Mark]] = {}
    for each in arrived:
        event = decode(each.body) if each.body else None
        at, settled = (mark_of(event.sequence), mark_of(event.settled)) if event else (None, None)
        if event and at and settled and not event.deadletter:
            named[each] = ((at.seq, event.id), settled)
    numbers = sorted({seq for (seq, _), _ in named.values()})
    rows: dict[tuple[int, str], Row] = {}
    for start in range(0, len(numbers), _BATCH):
        some = numbers[start : start + _BATCH]
        marks = ", ".join("?" * len(some))
        rows |= {(row[1], row[2]): row for row in session.all(f"SELECT {_COLUMNS} FROM event WHERE seq IN ({marks})", some)}
    return {each: _Known(rows[name], settled) for each, (name, settled) in named.items() if name in rows}


def _read_to(before: Held, records: Sequence[Arrived], known: dict[Arrived, _Known]) -> Held:
    """Where a reader is after these records of one shard."""
    last, settled = before.last, before.settled
    for record in records:
        if record in known:
            last = Mark(*known[record].row[:2])
            settled = max(settled, known[record].settled)
    return Held(records[-1].position, last, settled)
