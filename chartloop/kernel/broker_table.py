"""The table bus: events in tables of the store, on SQLite and on PostgreSQL, without another server."""

import threading
from collections.abc import Sequence

from chartloop.kernel import clock, ids
from chartloop.kernel.broker import AlreadyHandled, Delivery, Failure, Group, Lease, LeaseLost, Once
from chartloop.kernel.db_session import Database, Session, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.outbox_order import after

NEVER = (1 << 63) - 1
_DISPATCH = 500
_INSERT = "INSERT INTO event (xid, id, type, subject, version, key, trace, recorded) VALUES ({xid}, ?, ?, ?, ?, ?, ?, ?)"
_XID = "pg_current_xact_id()::text::bigint"
_UNSETTLED = "SELECT 1 FROM event WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint LIMIT 1"
_EVENT = "e.id, e.type, e.subject, e.version, e.key, e.trace, e.recorded"


class TableBus:
    """Cursor per consumer, slots leased with a fencing token, holds for keys whose first event failed."""

    def __init__(self, database: Database, *, lanes: int = 8) -> None:
        """Use the tables of this database."""
        self._db = database
        self._lanes = lanes
        self._groups: dict[str, Group] = {}
        self._woken = threading.Event()
        self._postgresql = database.dialect == "postgresql"
        self._insert = _INSERT.format(xid=_XID if self._postgresql else "0")

    def publish(self, tx: Tx, *events: Event) -> None:
        """Store events with the caller's change, in their order."""
        rows = [(event.id, event.type, event.subject, event.version, event.key, event.trace, event.recorded) for event in events]
        if len(rows) == 1:
            tx.run(self._insert, rows[0])
        else:
            tx.many(self._insert, rows)
        tx.after_commit(self._woken.set)

    def subscribe(self, group: Group) -> None:
        """Make a group known; it starts with the oldest event that is kept."""
        self._groups[group.name] = group
        # The number of lanes is fixed at the first start: changing it would put one key into two lanes.
        self._db.write(
            lambda tx: tx.run(
                "INSERT INTO event_cursor (consumer, xid, seq, lanes) VALUES (?, -1, 0, ?) ON CONFLICT DO NOTHING",
                (group.name, self._lanes),
            )
        )

    def take_over(self) -> None:
        """Free every slot; only for a process that knows it is alone (SQLite behind its lock)."""
        self._db.write(lambda tx: tx.run("UPDATE lease SET until = 0, token = token + 1"))

    def lease(self, owner: str, wanted: dict[str, int], lease_s: float) -> list[Lease]:
        """Move new events to their slots, then take slots that have work."""
        with self._db.read() as session:
            if not any(self._has_work(session, name) for name in wanted):
                return []

        def work(tx: Tx) -> list[Lease]:
            leases: list[Lease] = []
            for name, count in wanted.items():
                self._dispatch(tx, self._groups[name])
                leases += self._lease_slots(tx, name, owner, count, lease_s)
            return leases

        return self._db.write(work)

    def _has_work(self, session: Session, consumer: str) -> bool:
        xid, seq, _ = self._cursor(session, consumer)
        if session.one(self._after("seq"), (xid, seq, 1)):
            return True
        return bool(self._free_slots(session, consumer, 1))

    def _cursor(self, session: Session, consumer: str, suffix: str = "") -> tuple[int, int, int]:
        row = session.one(f"SELECT xid, seq, lanes FROM event_cursor WHERE consumer = ?{suffix}", (consumer,))
        if row is None:
            raise LookupError(f"No consumer {consumer} is subscribed.")
        return row

    def _after(self, columns: str) -> str:
        """Select events after a cursor; on PostgreSQL only below the oldest transaction that still runs."""
        return after(columns, postgresql=self._postgresql)

    def _dispatch(self, tx: Tx, group: Group) -> None:
        xid, seq, lanes = self._cursor(tx, group.name, " FOR UPDATE" if self._postgresql else "")
        rows = tx.all(self._after("xid, seq, type, subject, key"), (xid, seq, _DISPATCH))
        if not rows:
            return
        slots = [
            (group.name, slot_of(group, key, lanes), key, number) for _, number, type_, subject, key in rows if group.wants(type_, subject)
        ]
        if slots:
            tx.many("INSERT INTO delivery (consumer, slot, key, seq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", slots)
        tx.run("UPDATE event_cursor SET xid = ?, seq = ? WHERE consumer = ?", (rows[-1][0], rows[-1][1], group.name))
        if len(rows) == _DISPATCH:
            tx.after_commit(self._woken.set)

    def _free_slots(self, session: Session, consumer: str, limit: int) -> list[str]:
        now = clock.now_us()
        rows = session.all(
            "SELECT DISTINCT d.slot FROM delivery d LEFT JOIN delivery_hold h ON h.consumer = d.consumer AND h.key = d.key"
            " LEFT JOIN lease l ON l.consumer = d.consumer AND l.slot = d.slot"
            " WHERE d.consumer = ? AND (h.due IS NULL OR h.due <= ?) AND (l.until IS NULL OR l.until <= ?) LIMIT ?",
            (consumer, now, now, limit),
        )
        return [row[0] for row in rows]

    def _lease_slots(self, tx: Tx, consumer: str, owner: str, count: int, lease_s: float) -> list[Lease]:
        now = clock.now_us()
        leases = []
        for slot in self._free_slots(tx, consumer, count):
            row = tx.one(
                "INSERT INTO lease (consumer, slot, owner, token, until) VALUES (?, ?, ?, 1, ?) ON CONFLICT (consumer, slot)"
                " DO UPDATE SET owner = excluded.owner, token = lease.token + 1, until = excluded.until"
                " WHERE lease.until <= ? RETURNING token",
                (consumer, slot, owner, now + round(lease_s * 1e6), now),
            )
            if row:
                leases.append(Lease(consumer, slot, row[0]))
        return leases

    def deliveries(self, lease: Lease, limit: int) -> list[Delivery]:
        """What may be worked on in a slot, in order."""
        with self._db.read() as session:
            rows = session.all(
                f"SELECT d.id, coalesce(h.attempt, 0), {_EVENT} FROM delivery d JOIN event e ON e.seq = d.seq"
                " LEFT JOIN delivery_hold h ON h.consumer = d.consumer AND h.key = d.key"
                " WHERE d.consumer = ? AND d.slot = ? AND (h.due IS NULL OR h.due <= ?) ORDER BY d.id LIMIT ?",
                (lease.consumer, lease.slot, clock.now_us(), limit),
            )
        return [Delivery(row[0], Event(*row[2:]), row[1]) for row in rows]

    def once(self, lease: Lease, event: Event) -> Once:
        """Make the mark that a consumer sets in its own transaction."""

        def mark(tx: Tx) -> None:
            self._fence(tx, lease)
            inserted = tx.run(
                "INSERT INTO handled (consumer, event, recorded) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (lease.consumer, event.id, clock.now_us()),
            )
            if not inserted:
                raise AlreadyHandled

        return mark

    def _fence(self, tx: Tx, lease: Lease) -> None:
        """Refuse a worker whose slot was taken over; until the commit nobody can take it."""
        lock = " FOR SHARE" if self._postgresql else ""
        row = tx.one(f"SELECT token FROM lease WHERE consumer = ? AND slot = ?{lock}", (lease.consumer, lease.slot))
        if row is None or row[0] != lease.token:
            raise LeaseLost

    def ack(self, lease: Lease, done: Sequence[Delivery], failed: Sequence[Failure] = ()) -> None:
        """Forget what was handled, and put back what was not."""

        def work(tx: Tx) -> None:
            self._fence(tx, lease)
            tx.many("DELETE FROM delivery WHERE id = ?", [(delivery.number,) for delivery in done])
            held = {(lease.consumer, delivery.event.key) for delivery in done if delivery.attempt}
            tx.many("DELETE FROM delivery_hold WHERE consumer = ? AND key = ?", sorted(held))
            for failure in failed:
                self._hold(tx, lease, failure)

        if done or failed:
            self._db.write(work)

    def nack(self, lease: Lease, failure: Failure) -> None:
        """Put one event back; its key waits with it."""
        self.ack(lease, (), (failure,))

    def _hold(self, tx: Tx, lease: Lease, failure: Failure) -> None:
        event = failure.delivery.event
        attempt = failure.delivery.attempt + failure.counts
        due = NEVER if failure.delay_s is None else clock.now_us() + round(failure.delay_s * 1e6)
        tx.run(
            "INSERT INTO delivery_hold (consumer, key, attempt, due) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (consumer, key) DO UPDATE SET attempt = excluded.attempt, due = excluded.due",
            (lease.consumer, event.key, max(attempt, 1), due),
        )
        if failure.delay_s is None:
            self._bury(tx, lease.consumer, failure, attempt)

    def _bury(self, tx: Tx, consumer: str, failure: Failure, attempts: int) -> None:
        event = failure.delivery.event
        letter = ids.public_id()
        tx.run(
            "INSERT INTO dead_letter (id, consumer, seq, event, type, subject, key, reason, attempts, recorded)"
            " SELECT ?, consumer, seq, ?, ?, ?, ?, ?, ?, ? FROM delivery WHERE id = ?",
            (letter, event.id, event.type, event.subject, event.key, failure.reason, attempts, clock.now_us(), failure.delivery.number),
        )
        if event.type != "DeadLettered":  # else the consumer of dead letters could feed itself for ever
            told = Event(ids.public_id(), "DeadLettered", f"dead-letter/{letter}", 0, event.key, event.trace, clock.now_us())
            self.publish(tx, told)

    def renew(self, leases: Sequence[Lease], lease_s: float) -> None:
        """Keep slots for longer."""
        until = clock.now_us() + round(lease_s * 1e6)
        statement = "UPDATE lease SET until = ? WHERE consumer = ? AND slot = ? AND token = ?"
        self._db.write(lambda tx: tx.many(statement, [(until, *lease) for lease in leases]))

    def release(self, lease: Lease) -> None:
        """Give a slot back."""
        statement = "UPDATE lease SET until = 0 WHERE consumer = ? AND slot = ? AND token = ?"
        self._db.write(lambda tx: tx.run(statement, lease))

    def replay(self, consumer: str, since: int, types: frozenset[str] = frozenset()) -> int:
        """Deliver again what was recorded since; return how many events."""
        group = self._groups[consumer]

        def work(tx: Tx) -> int:
            xid, seq, lanes = self._cursor(tx, consumer, " FOR UPDATE" if self._postgresql else "")
            rows = tx.all(
                "SELECT seq, id, type, subject, key FROM event WHERE recorded >= ? AND (xid, seq) <= (?, ?) ORDER BY xid, seq",
                (since, xid, seq),
            )
            again = [row for row in rows if group.wants(row[2], row[3]) and (not types or row[2] in types)]
            tx.many("DELETE FROM handled WHERE consumer = ? AND event = ?", [(consumer, row[1]) for row in again])
            tx.many(
                "INSERT INTO delivery (consumer, slot, key, seq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(consumer, slot_of(group, row[4], lanes), row[4], row[0]) for row in again],
            )
            tx.after_commit(self._woken.set)
            return len(again)

        return self._db.write(work)

    def pending(self) -> int:
        """Count what is waiting, without what dead letters hold."""
        with self._db.read(snapshot=True) as session:
            return sum(self._behind(session, group) + self._waiting(session, group.name) for group in self._groups.values())

    def waiting_for(self, consumer: str) -> int:
        """Count what waits for one consumer, perhaps of another process; what dead letters hold does not wait.

        Raises:
            LookupError: It has never subscribed.
        """
        with self._db.read(snapshot=True) as session:
            return self._behind(session, Group(consumer)) + self._waiting(session, consumer)

    def _behind(self, session: Session, group: Group) -> int:
        """Count events that were not looked at yet; those for other consumers too, which is quick to find out."""
        xid, seq, _ = self._cursor(session, group.name)
        row = session.one("SELECT count(*) FROM event WHERE (xid, seq) > (?, ?)", (xid, seq))
        return int(row[0]) if row else 0

    def _waiting(self, session: Session, consumer: str) -> int:
        row = session.one(
            "SELECT count(*) FROM delivery d LEFT JOIN delivery_hold h ON h.consumer = d.consumer AND h.key = d.key"
            " WHERE d.consumer = ? AND (h.due IS NULL OR h.due < ?)",
            (consumer, NEVER),
        )
        return int(row[0]) if row else 0

    def wait(self, timeout_s: float) -> None:
        """Sleep until something is published here, a held key is due, or the time is over."""
        with self._db.read() as session:
            row = session.one("SELECT min(due) FROM delivery_hold WHERE due > ?", (clock.now_us(),))
            if self._postgresql and session.one(_UNSETTLED):
                timeout_s = min(timeout_s, 0.02)
        if row and row[0] is not None:
            timeout_s = min(timeout_s, max(0.001, (row[0] - clock.now_us()) / 1e6))
        self._woken.wait(timeout_s)
        self._woken.clear()

    def wake(self) -> None:
        """End a wait."""
        self._woken.set()

    def close(self) -> None:
        """Nothing runs here that must end."""


def slot_of(group: Group, key: str, lanes: int) -> str:
    """Where the events of a key go: a lane shared by some keys, or a slot of its own."""
    return key if group.isolation == "key" else str(int(key[:8], 16) % lanes)
