"""The worker: hands events to consumers, each slot in order, each consumer behind its own bulkhead."""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple, Protocol

from chartloop.kernel import clock, ids, tracing
from chartloop.kernel.broker import AlreadyHandled, Bus, Delivery, Failure, Group, Lease, LeaseLost, Once
from chartloop.kernel.db_session import Database
from chartloop.kernel.events import Event
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.telling import Telling

__all__ = ["AlreadyHandled", "Consumer", "Later", "Once", "Periodic", "Permanent", "Worker", "work_off"]

_log = logging.getLogger(__name__)


class Permanent(Exception):
    """Trying again will not help: make it a dead letter at once."""


class Later(Exception):
    """This is not a failure: try again after a while."""

    def __init__(self, delay_s: float) -> None:
        """Say after how long."""
        super().__init__(f"try again in {delay_s} s")
        self.delay_s = delay_s


class Consumer(Protocol):
    """Somebody who wants events.

    isolation is "patient" (keys share lanes) or "key" (a thread for each key at work).
    A consumer may have an attribute `coalesce = True`: of the waiting events of a key it then gets only the last.
    """

    name: str
    types: frozenset[str]
    subjects: frozenset[str]
    isolation: str

    def handle(self, event: Event, once: Once) -> None:
        """Do what the event asks for; call once(tx) inside the transaction that does it."""
        ...


@dataclass(frozen=True, slots=True)
class Periodic:
    """Something that every process does again and again; `close` is called once when it stops, with the seconds that it may take."""

    name: str
    interval_s: float
    action: Callable[[], None]
    close: Callable[[float], None] | None = None


_LEASES: Final = "chartloop-leases"
COALESCED: Final = 10_000
"""How many waiting events a coalescing consumer looks at together: it handles one of a key, so that many cost little."""


class _Hands(NamedTuple):
    """How events are worked on; work_off says what each is."""

    settings: WorkerSettings
    jitter: Callable[[], float]
    noticed: Callable[[Failure, str], object]


def work_off(
    bus: Bus,
    consumer: Consumer,
    lease: Lease,
    settings: WorkerSettings,
    jitter: Callable[[], float] = random.random,
    *,
    stopping: Callable[[], bool] = lambda: False,
    noticed: Callable[[Failure, str], object] = lambda _failure, _consumer: None,
) -> bool:
    """Work on what waits in one slot; say whether there may be more.

    Args:
        bus: Where events are.
        consumer: Who handles them.
        lease: The right to the slot.
        settings: Batches, tries and waits.
        jitter: Between 0 and 1.
        stopping: Whether to end before the next event; what is done is acknowledged.
        noticed: Told of every event that failed, and of the consumer's name.
    """
    hands = _Hands(settings, jitter, noticed)
    coalesces = bool(getattr(consumer, "coalesce", False))
    deliveries = bus.deliveries(lease, max(settings.batch, COALESCED) if coalesces else settings.batch)
    done: list[Delivery] = []
    failed: dict[str, Failure] = {}
    flushed_s = clock.monotonic_s()
    last = {delivery.event.key: delivery.number for delivery in deliveries} if coalesces else {}
    for delivery in deliveries:
        key = delivery.event.key
        if key in failed:
            continue
        if stopping():
            break
        failure = None if last.get(key, delivery.number) != delivery.number else _handle(bus, consumer, lease, delivery, hands)
        if failure is None:
            done.append(delivery)
        else:
            failed[key] = failure
        if clock.monotonic_s() - flushed_s > settings.lease_s / 10:
            bus.ack(lease, done, list(failed.values()))
            done, flushed_s = [], clock.monotonic_s()
            if failed:
                return True
    bus.ack(lease, done, list(failed.values()))
    return len(deliveries) > len(failed)


def _handle(bus: Bus, consumer: Consumer, lease: Lease, delivery: Delivery, hands: _Hands) -> Failure | None:
    request, parent = tracing.told(delivery.event.trace)
    event = replace(delivery.event, trace=request)
    said: dict[str, str | int] = {"chartloop.consumer": consumer.name, "chartloop.event.type": event.type, "messaging.message.id": event.id, "chartloop.attempt": delivery.attempt + 1}
    with tracing.span("event", said, parent=parent, kind="consumer") as active:
        failure = _attempt(bus, consumer, lease, delivery, event, hands)
        active.set("chartloop.outcome", "handled" if failure is None else "later" if not failure.counts else "given up" if failure.delay_s is None else "failed")
    if failure is not None:
        hands.noticed(failure, consumer.name)
    return failure


def _attempt(bus: Bus, consumer: Consumer, lease: Lease, delivery: Delivery, event: Event, hands: _Hands) -> Failure | None:
    try:
        consumer.handle(event, bus.once(lease, event))
    except AlreadyHandled:
        return None
    except LeaseLost:
        raise
    except Later as later:
        return Failure(delivery, "later", later.delay_s, counts=False)
    except Permanent as error:
        return Failure(delivery, str(error) or type(error).__doc__ or "", None)
    except Exception as error:
        _log.exception("A consumer failed on an event.", extra={"action": "event.failed", "consumer": consumer.name})
        if delivery.attempt + 1 >= hands.settings.attempts:
            # Only the kind of error: its text may quote a patient.
            return Failure(delivery, f"{type(error).__name__} in {hands.settings.attempts} attempts", None)
        return Failure(delivery, type(error).__name__, _backoff_s(delivery.attempt, hands.settings, hands.jitter))
    return None


def _backoff_s(attempt: int, settings: WorkerSettings, jitter: Callable[[], float]) -> float:
    """Double from try to try; full jitter in the upper half, so that neighbours do not come back together."""
    return min(settings.backoff_max_s, settings.backoff_s * 2.0**attempt) * (0.5 + jitter() / 2)


class Worker:
    """Threads that hand events to consumers until they are told to stop."""

    def __init__(
        self, db: Database, bus: Bus, consumers: Sequence[Consumer], periodics: Sequence[Periodic], settings: WorkerSettings
    ) -> None:
        """Take everything that the worker needs; nothing runs yet."""
        self._db = db
        self._bus = bus
        self._consumers = {consumer.name: consumer for consumer in consumers}
        self._periodics = periodics
        self._settings = settings
        self._owner = ids.public_id()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._telling = Telling(db, self._owner)
        self._active: dict[Lease, threading.Thread] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Subscribe every consumer and begin."""
        for consumer in self._consumers.values():
            self._bus.subscribe(Group(consumer.name, consumer.types, consumer.subjects, consumer.isolation))
        self._run("chartloop-worker", self._coordinate)
        self._run(_LEASES, self._keep_leases)
        if self._consumers:
            self._run("chartloop-signals", partial(self._telling.run, self._stopping))
        for periodic in self._periodics:
            self._run(f"chartloop-{periodic.name}", partial(self._repeat, periodic))

    def stop(self, timeout_s: float = 10.0) -> None:
        """Let what is being handled end, and begin nothing more; then give every slot back, that of who hangs longer as well.

        Leases are renewed until then. Who hangs is fenced: where its slot was taken over, it can mark nothing as handled any more.
        """
        self._stopping.set()
        self._bus.wake()
        end_s = clock.perf_s() + timeout_s
        for periodic in self._periodics:
            if periodic.close is not None:
                periodic.close(max(0.0, end_s - clock.perf_s()))
        with self._lock:
            working = list(self._active.values())
        for thread in [*working, *self._threads]:
            if thread.name != _LEASES:
                thread.join(max(0.0, end_s - clock.perf_s()))
        self._stopped.set()
        with self._lock:
            left = list(self._active)
        for lease in left:
            _log.warning("A consumer did not end in time; its slot is given back.", extra={"action": "worker.left_behind", "consumer": lease.consumer})
            with suppress(Exception):  # a slot that cannot be given back runs out by itself
                self._bus.release(lease)

    def alive(self) -> bool:
        """Whether every thread that it started still runs; False from the moment it is told to stop."""
        return bool(self._threads) and not self._stopping.is_set() and all(thread.is_alive() for thread in self._threads)

    def idle(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; say whether that came true."""
        end_s = clock.perf_s() + timeout_s
        while True:
            if not self._active and self._bus.pending() == 0 and not self._active:
                return True
            if clock.perf_s() > end_s or self._stopping.wait(0.02):
                return False

    def _run(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _coordinate(self) -> None:
        while not self._stopping.is_set():
            try:
                leases = self._bus.lease(self._owner, self._wanted(), self._settings.lease_s)
                for lease in leases:
                    self._begin(lease)
                if not leases:
                    self._bus.wait(self._settings.poll_interval_s)
            except Exception:
                _log.exception("The worker could not look for events.", extra={"action": "worker.failed"})
                self._stopping.wait(self._settings.poll_interval_s)

    def _wanted(self) -> dict[str, int]:
        with self._lock:
            busy = [lease.consumer for lease in self._active]
        most = {name: self._settings.bulkheads if c.isolation == "key" else self._settings.threads for name, c in self._consumers.items()}
        return {name: count - busy.count(name) for name, count in most.items() if count > busy.count(name)}

    def _begin(self, lease: Lease) -> None:
        thread = threading.Thread(target=self._work, args=(lease,), name=f"chartloop-{lease.consumer}", daemon=True)
        with self._lock:
            self._active[lease] = thread
        thread.start()

    def _work(self, lease: Lease) -> None:
        consumer = self._consumers[lease.consumer]
        try:
            while not self._stopping.is_set() and self._work_off(consumer, lease):
                pass
        except LeaseLost:
            _log.warning("A slot was taken over by another worker.", extra={"action": "lease.lost", "consumer": consumer.name})
        except Exception:
            _log.exception("A slot could not be worked on.", extra={"action": "worker.failed", "consumer": consumer.name})
            self._stopping.wait(self._settings.poll_interval_s)
        finally:
            with suppress(Exception):  # a slot that cannot be given back runs out by itself
                self._bus.release(lease)
            with self._lock:
                del self._active[lease]
            self._bus.wake()

    def _work_off(self, consumer: Consumer, lease: Lease) -> bool:
        return work_off(self._bus, consumer, lease, self._settings, stopping=self._stopping.is_set, noticed=self._telling.noticed)

    def _keep_leases(self) -> None:
        while not self._stopped.wait(self._settings.lease_s / 3):
            with self._lock:
                leases = list(self._active)
            try:
                if leases:
                    self._bus.renew(leases, self._settings.lease_s)
            except Exception:
                _log.exception("Leases could not be renewed.", extra={"action": "lease.failed"})

    def _repeat(self, periodic: Periodic) -> None:
        while not self._stopping.wait(periodic.interval_s):
            try:
                periodic.action()
            except Exception:
                _log.exception("Something periodic failed.", extra={"action": "periodic.failed", "periodic": periodic.name})
