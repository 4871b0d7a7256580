"""Where consumers and the sealer stand, after a store was moved to another database server.

On PostgreSQL they stand at (transaction, number), and read what lies below the oldest transaction that still runs. Transactions of
another server mean nothing here: rows with larger ones than this server has reached would wait for it for months, and a new row would
lie before a cursor that has passed it. So after a move everything stored stands at transaction 0, in the order in which it would have
been delivered: what the slowest consumer has passed keeps its number, what comes after it gets new ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from chartloop.kernel.audit import state
from chartloop.kernel.audit.retention import PRUNED
from chartloop.kernel.db_numbers import go_on_after, last_number
from chartloop.kernel.db_session import Session, Tx

Position = tuple[int, int]
_LARGEST: Final = (
    "SELECT max(x) FROM (SELECT max(xid) AS x FROM event UNION ALL SELECT max(xid) FROM event_cursor"
    " UNION ALL SELECT max(xid) FROM audit_change UNION ALL SELECT max(change_xid) FROM audit_head) t"
)


def are_foreign(session: Session) -> bool:
    """Whether something stands at a transaction that this database has not reached; SQLite has none but 0."""
    row = session.one(_LARGEST)
    largest = int(row[0]) if row and row[0] is not None else 0
    if session.dialect != "postgresql":
        return largest > 0
    reached = session.one("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return reached is None or largest >= int(reached[0])


def bring_home(tx: Tx) -> None:
    """Let everything stand at transaction 0, in the order of its delivery; nobody else may be at the database."""
    _events(tx)
    _changes(tx)


def _events(tx: Tx) -> None:
    cursors = [(str(consumer), (int(xid), int(seq))) for consumer, xid, seq in tx.all("SELECT consumer, xid, seq FROM event_cursor ORDER BY consumer")]
    last = last_number(tx, "event", "seq")
    if cursors:
        after = min(position for _, position in cursors)
        ahead = _ahead(tx, "event", after)
        given = _renumbered(tx, "event", ahead, last)
        _follow(tx, "delivery", given)
        _follow(tx, "dead_letter", given)
        tx.many(
            "UPDATE event_cursor SET xid = 0, seq = ? WHERE consumer = ?",
            [(last + bisect_right(ahead, position), consumer) for consumer, position in cursors],
        )
    tx.run("UPDATE event SET xid = 0 WHERE xid <> 0")


def _changes(tx: Tx) -> None:
    head = tx.one("SELECT size, change_xid, change_seq FROM audit_head ORDER BY size DESC LIMIT 1")
    last = last_number(tx, "audit_change", "seq")
    given = _renumbered(tx, "audit_change", _ahead(tx, "audit_change", (head[1], head[2]) if head else (-1, 0)), last)
    tx.run("UPDATE audit_change SET xid = 0 WHERE xid <> 0")
    tx.run("UPDATE audit_head SET change_xid = 0 WHERE change_xid <> 0")
    if head:
        tx.run("UPDATE audit_head SET change_seq = ? WHERE size = ?", (last, head[0]))
    pruned = state.value(tx, PRUNED)
    if pruned:
        state.remember(tx, PRUNED, " ".join(str(given.get(int(number), int(number))) for number in pruned.split(" ")))


def _ahead(tx: Tx, table: str, after: Position) -> list[Position]:
    """Positions of the rows after one, in order."""
    return [(int(xid), int(seq)) for xid, seq in tx.all(f"SELECT xid, seq FROM {table} WHERE (xid, seq) > (?, ?) ORDER BY xid, seq", after)]


def _renumbered(tx: Tx, table: str, ahead: Sequence[Position], last: int) -> dict[int, int]:
    """Give rows new numbers, larger than every number that was ever given; return the new ones by the old ones."""
    given = {seq: last + place for place, (_, seq) in enumerate(ahead, start=1)}
    tx.many(f"UPDATE {table} SET seq = ? WHERE seq = ?", [(new, old) for old, new in given.items()])
    go_on_after(tx, table, "seq", last + len(given))
    return given


def _follow(tx: Tx, table: str, given: Mapping[int, int]) -> None:
    """Let rows that name an event by its number name the new one."""
    named = tx.all(f"SELECT id, seq FROM {table}")
    tx.many(f"UPDATE {table} SET seq = ? WHERE id = ?", [(given[seq], id_) for id_, seq in named if seq in given])
