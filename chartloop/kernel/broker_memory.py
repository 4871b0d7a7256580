"""The bus in memory, for tests: the same order, holds, leases and marks as the table bus, and nothing durable."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from chartloop.kernel import clock
from chartloop.kernel.broker import AlreadyHandled, Delivery, Failure, Group, Lease, LeaseLost, Once
from chartloop.kernel.broker_table import NEVER
from chartloop.kernel.db_session import Tx
from chartloop.kernel.events import Event


@dataclass
class _Queue:
    """What waits for one consumer."""

    group: Group
    waiting: list[tuple[int, str, Event]] = field(default_factory=list)
    holds: dict[str, tuple[int, int]] = field(default_factory=dict)
    handled: set[str] = field(default_factory=set)


class MemoryBus:
    """A bus for one process. Given-up events are in `dead`."""

    def __init__(self, *, lanes: int = 8) -> None:
        """Start empty."""
        self.dead: list[Failure] = []
        self._lanes = lanes
        self._log: list[Event] = []
        self._queues: dict[str, _Queue] = {}
        self._leases: dict[tuple[str, str], tuple[int, int]] = {}
        self._number = 0
        self._lock = threading.RLock()
        self._woken = threading.Event()

    def publish(self, tx: Tx, *events: Event) -> None:
        """Tell the events once the caller's change is durable."""
        tx.after_commit(lambda: self._tell(events))

    def _tell(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                self._log.append(event)
                for queue in self._queues.values():
                    self._queue(queue, event)
        self._woken.set()

    def _queue(self, queue: _Queue, event: Event) -> bool:
        if not queue.group.wants(event.type, event.subject):
            return False
        self._number += 1
        slot = event.key if queue.group.isolation == "key" else str(int(event.key[:8], 16) % self._lanes)
        queue.waiting.append((self._number, slot, event))
        return True

    def subscribe(self, group: Group) -> None:
        """Make a group known; it starts with the oldest event."""
        with self._lock:
            if group.name not in self._queues:
                self._queues[group.name] = _Queue(group)
                for event in self._log:
                    self._queue(self._queues[group.name], event)

    def lease(self, owner: str, wanted: dict[str, int], lease_s: float) -> list[Lease]:
        """Take slots that have work; the owner's name is of no use here."""
        del owner
        now = clock.now_us()
        leases: list[Lease] = []
        with self._lock:
            for name, count in wanted.items():
                queue = self._queues[name]
                slots = dict.fromkeys(slot for _, slot, event in queue.waiting if self._due(queue, event.key))
                free = [slot for slot in slots if self._leases.get((name, slot), (0, 0))[1] <= now]
                for slot in free[:count]:
                    token = self._leases.get((name, slot), (0, 0))[0] + 1
                    self._leases[name, slot] = (token, now + round(lease_s * 1e6))
                    leases.append(Lease(name, slot, token))
        return leases

    def _due(self, queue: _Queue, key: str) -> bool:
        return queue.holds.get(key, (0, 0))[1] <= clock.now_us()

    def deliveries(self, lease: Lease, limit: int) -> list[Delivery]:
        """What may be worked on in a slot, in order."""
        with self._lock:
            queue = self._queues[lease.consumer]
            found = [
                Delivery(number, event, queue.holds.get(event.key, (0, 0))[0])
                for number, slot, event in queue.waiting
                if slot == lease.slot and self._due(queue, event.key)
            ]
        return found[:limit]

    def once(self, lease: Lease, event: Event) -> Once:
        """Make the mark that a consumer sets in its own transaction."""

        def mark(tx: Tx) -> None:
            with self._lock:
                self._fence(lease)
                handled = self._queues[lease.consumer].handled
                if event.id in handled:
                    raise AlreadyHandled
            tx.after_commit(lambda: handled.add(event.id))

        return mark

    def _fence(self, lease: Lease) -> None:
        if self._leases.get((lease.consumer, lease.slot), (0, 0))[0] != lease.token:
            raise LeaseLost

    def ack(self, lease: Lease, done: Sequence[Delivery], failed: Sequence[Failure] = ()) -> None:
        """Forget what was handled, and put back what was not."""
        with self._lock:
            self._fence(lease)
            queue = self._queues[lease.consumer]
            numbers = {delivery.number for delivery in done}
            queue.waiting = [entry for entry in queue.waiting if entry[0] not in numbers]
            for delivery in done:
                queue.holds.pop(delivery.event.key, None)
            for failure in failed:
                due = NEVER if failure.delay_s is None else clock.now_us() + round(failure.delay_s * 1e6)
                queue.holds[failure.delivery.event.key] = (max(1, failure.delivery.attempt + failure.counts), due)
                if failure.delay_s is None:
                    self.dead.append(failure)

    def nack(self, lease: Lease, failure: Failure) -> None:
        """Put one event back; its key waits with it."""
        self.ack(lease, (), (failure,))

    def renew(self, leases: Sequence[Lease], lease_s: float) -> None:
        """Keep slots for longer."""
        with self._lock:
            for lease in leases:
                if self._leases.get((lease.consumer, lease.slot), (0, 0))[0] == lease.token:
                    self._leases[lease.consumer, lease.slot] = (lease.token, clock.now_us() + round(lease_s * 1e6))

    def release(self, lease: Lease) -> None:
        """Give a slot back."""
        self.renew([lease], 0)

    def replay(self, consumer: str, since: int, types: frozenset[str] = frozenset()) -> int:
        """Deliver again what was recorded since; return how many events."""
        with self._lock:
            queue = self._queues[consumer]
            waiting = {event.id for _, _, event in queue.waiting}
            again = [e for e in self._log if e.recorded >= since and e.id not in waiting and (not types or e.type in types)]
            queue.handled.difference_update(event.id for event in again)
            count = sum(self._queue(queue, event) for event in again)
        self._woken.set()
        return count

    def pending(self) -> int:
        """Count what is waiting, without what dead letters hold."""
        with self._lock:
            return sum(q.holds.get(event.key, (0, 0))[1] < NEVER for q in self._queues.values() for _, _, event in q.waiting)

    def wait(self, timeout_s: float) -> None:
        """Sleep until there may be something to do."""
        now = clock.now_us()
        with self._lock:
            due = [due for queue in self._queues.values() for _, due in queue.holds.values() if now < due < NEVER]
        self._woken.wait(min([timeout_s, *(max(0.001, (each - now) / 1e6) for each in due)]))
        self._woken.clear()

    def wake(self) -> None:
        """End a wait."""
        self._woken.set()
