"""The outbox: an event is stored in the transaction of the change that it tells of."""

import hmac
from collections.abc import Sequence
from typing import NamedTuple

from chartloop.kernel import clock, ids, tracing
from chartloop.kernel.broker import Bus
from chartloop.kernel.db_session import Database, Tx
from chartloop.kernel.events import EVENT_TYPES, Event


def ordering_key(secret: bytes, key: str) -> str:
    """Hide what orders events (a patient, a payer) behind a keyed HMAC."""
    return hmac.digest(secret, key.encode(), "sha256")[:16].hex()


def subject_of_key(database: Database, type_: str, key: str) -> str:
    """The first subject of a type among the kept events of an ordering key, such as the Patient whose events they are; "" for none.

    No index serves this: it is for the rare case in which a resource no longer says whose it is.
    """
    row = database.one("SELECT subject FROM event WHERE key = ? AND subject LIKE ? ORDER BY seq LIMIT 1", (key, f"{type_}/%"))
    return "" if row is None else str(row[0])


class Told(NamedTuple):
    """What is told of one change; the key is raw."""

    type: str
    subject: str
    key: str
    version: int = 0


class Outbox:
    """Where changes put their events."""

    def __init__(self, bus: Bus, secret: bytes) -> None:
        """Take the bus, and the secret of the ordering keys."""
        self._bus = bus
        self._secret = secret

    def publish(self, tx: Tx, type: str, subject: str, *, key: str, version: int = 0, trace: str = "") -> None:
        """Store an event; key is given raw, such as "Patient/123" or "payer/P1"."""
        self.publish_all(tx, [Told(type, subject, key, version)], trace=trace)

    def publish_all(self, tx: Tx, told: Sequence[Told], *, trace: str = "") -> None:
        """Store many events at once, in their order."""
        now, trace = clock.now_us(), tracing.kept(trace)
        hidden = {key: ordering_key(self._secret, key) for key in {each.key for each in told}}
        self._bus.publish(tx, *(Event(ids.public_id(), _known(type_), subject, version, hidden[key], trace, now) for type_, subject, key, version in told))


def _known(type_: str) -> str:
    if type_ not in EVENT_TYPES:
        raise KeyError(f"{type_} is no event type; declare it in events.py.")
    return type_
