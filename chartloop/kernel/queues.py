"""How the queues are: what each consumer has before it, and since when."""

from __future__ import annotations

from typing import NamedTuple

from chartloop.kernel import clock, signals
from chartloop.kernel.broker_table import NEVER
from chartloop.kernel.db_session import Session


class Queue(NamedTuple):
    """One consumer.

    Attributes:
        consumer: Its name.
        behind: Events that it has not looked at yet, those for others included.
        ready: Events that wait for it.
        held: Events that wait for the next try of their key.
        parked: Events that a dead letter holds.
        age_s: Age of the oldest event that waits for it or that it has not looked at; 0.0 for none. What is parked waits for a person.
        retried: How often it failed on an event that was then tried again, since ever.
        dead: Dead letters of it.
    """

    consumer: str
    behind: int
    ready: int
    held: int
    parked: int
    age_s: float
    retried: int
    dead: int


class Hold(NamedTuple):
    """A key whose first event failed: nothing of it is delivered before it is due.

    Attributes:
        consumer: Who failed on it.
        key: The hashed key.
        attempt: How often.
        due: When it is tried again, in microseconds; None where a dead letter holds it.
        waiting: Events that wait behind it.
    """

    consumer: str
    key: str
    attempt: int
    due: int | None
    waiting: int


def queues(session: Session) -> list[Queue]:
    """Every consumer that ever subscribed, by name."""
    behind: dict[str, tuple[int, int | None]] = {name: (count, oldest) for name, count, oldest in session.all(_BEHIND)}
    dead: dict[str, int] = dict(session.all("SELECT consumer, count(*) FROM dead_letter GROUP BY consumer"))
    retried, now = signals.totals(session, signals.RETRIED), clock.now_us()
    found = []
    for name, ready, held, parked, oldest in session.all(_WAITING, (NEVER, NEVER, NEVER)):
        unseen, unseen_oldest = behind.get(name, (0, None))
        began = min((each for each in (oldest, unseen_oldest) if each is not None), default=now)
        found.append(Queue(name, unseen, ready, held, parked, max(0.0, (now - began) / 1e6), retried.get(name, 0), dead.get(name, 0)))
    return found


def holds(session: Session, limit: int = 100) -> list[Hold]:
    """Keys that wait, the next due first."""
    rows = session.all(_HOLDS, (limit,))
    return [Hold(consumer, key, attempt, None if due == NEVER else due, waiting) for consumer, key, attempt, due, waiting in rows]


_WAITING = (
    "SELECT c.consumer,"
    " coalesce(sum(CASE WHEN d.id IS NOT NULL AND h.due IS NULL THEN 1 ELSE 0 END), 0),"
    " coalesce(sum(CASE WHEN h.due < ? THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN h.due = ? THEN 1 ELSE 0 END), 0),"
    " min(CASE WHEN h.due IS NULL OR h.due < ? THEN e.recorded END)"
    " FROM event_cursor c LEFT JOIN delivery d ON d.consumer = c.consumer LEFT JOIN event e ON e.seq = d.seq"
    " LEFT JOIN delivery_hold h ON h.consumer = d.consumer AND h.key = d.key GROUP BY c.consumer ORDER BY c.consumer"
)
_BEHIND = "SELECT c.consumer, count(e.seq), min(e.recorded) FROM event_cursor c LEFT JOIN event e ON (e.xid, e.seq) > (c.xid, c.seq) GROUP BY c.consumer"
_HOLDS = (
    "SELECT h.consumer, h.key, h.attempt, h.due, (SELECT count(*) FROM delivery d WHERE d.consumer = h.consumer AND d.key = h.key)"
    " FROM delivery_hold h ORDER BY h.due, h.consumer, h.key LIMIT ?"
)
