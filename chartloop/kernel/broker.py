"""The bus port: publish in a transaction, subscribe, ack, nack, replay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from chartloop.kernel.db_session import Tx
from chartloop.kernel.events import Event

Once = Callable[[Tx], None]


class AlreadyHandled(Exception):
    """This consumer has handled this event before."""


class LeaseLost(Exception):
    """Another worker has taken this slot over."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer as the bus sees it; an empty set means every type or every subject."""

    name: str
    types: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    isolation: str = "patient"

    def wants(self, type_: str, subject: str) -> bool:
        """Whether an event is for this group."""
        return (not self.types or type_ in self.types) and (not self.subjects or subject.partition("/")[0] in self.subjects)


class Lease(NamedTuple):
    """The right to work on one slot; the token grows with every owner."""

    consumer: str
    slot: str
    token: int


class Delivery(NamedTuple):
    """One event for one consumer, and how often it was tried before."""

    number: int
    event: Event
    attempt: int


class Failure(NamedTuple):
    """An event that was not handled: tried again after a delay, or given up when that is None."""

    delivery: Delivery
    reason: str
    delay_s: float | None
    counts: bool = True


class Bus(Protocol):
    """How events reach consumers: at least once, in order for each key."""

    def publish(self, tx: Tx, *events: Event) -> None:
        """Store events with the caller's change, in their order."""
        ...

    def subscribe(self, group: Group) -> None:
        """Make a group known; it starts with the oldest event that is kept."""
        ...

    def lease(self, owner: str, wanted: dict[str, int], lease_s: float) -> list[Lease]:
        """Take slots that have work: at most so many for each consumer."""
        ...

    def deliveries(self, lease: Lease, limit: int) -> list[Delivery]:
        """What may be worked on in a slot, in order."""
        ...

    def once(self, lease: Lease, event: Event) -> Once:
        """Make the mark that a consumer sets in its own transaction."""
        ...

    def ack(self, lease: Lease, done: Sequence[Delivery], failed: Sequence[Failure] = ()) -> None:
        """Forget what was handled, and put back what was not."""
        ...

    def nack(self, lease: Lease, failure: Failure) -> None:
        """Put one event back; its key waits with it."""
        ...

    def renew(self, leases: Sequence[Lease], lease_s: float) -> None:
        """Keep slots for longer."""
        ...

    def release(self, lease: Lease) -> None:
        """Give a slot back."""
        ...

    def replay(self, consumer: str, since: int, types: frozenset[str] = frozenset()) -> int:
        """Deliver again what was recorded since; return how many events."""
        ...

    def pending(self) -> int:
        """Count what is waiting, without what dead letters hold."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Sleep until there may be something to do."""
        ...

    def wake(self) -> None:
        """End a wait."""
        ...
