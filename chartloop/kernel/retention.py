"""Forgetting events that are long done with; the audit log is not touched."""

from chartloop.kernel import clock
from chartloop.kernel.db_session import Database, Tx

_BATCH = 1000
_EVENTS = (
    "DELETE FROM event WHERE seq IN (SELECT e.seq FROM event e WHERE e.recorded < ?"
    " AND NOT EXISTS (SELECT 1 FROM event_cursor c WHERE (c.xid, c.seq) < (e.xid, e.seq))"
    " AND NOT EXISTS (SELECT 1 FROM event_cursor c JOIN delivery d ON d.consumer = c.consumer AND d.seq = e.seq) ORDER BY e.seq LIMIT ?)"
)
# A mark whose event still waits is kept however old it is: whoever died between the effect and the acknowledgment would have the effect again.
_MARKS = (
    "DELETE FROM handled WHERE (consumer, event) IN (SELECT consumer, event FROM handled h WHERE h.recorded < ?"
    " AND (h.consumer, h.event) NOT IN (SELECT d.consumer, e.id FROM delivery d JOIN event e ON e.seq = d.seq) LIMIT ?)"
)


def forget_events(database: Database, retention_s: float) -> int:
    """Delete events that every consumer has passed, and their marks, in short transactions; return how many events."""
    before = clock.now_us() - round(retention_s * 1e6)
    forgotten = 0
    for statement in (_EVENTS, _MARKS):
        while True:
            count = database.write(lambda tx, statement=statement: _delete(tx, statement, before))  # type: ignore[misc]
            forgotten += count if statement is _EVENTS else 0
            if count < _BATCH:
                break
    return forgotten


def _delete(tx: Tx, statement: str, before: int) -> int:
    return tx.run(statement, (before, _BATCH))
