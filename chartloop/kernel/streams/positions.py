"""How far everybody is in a stream, kept in the store: what the relay sent last to each shard, what each consumer took from it."""

from typing import Final, NamedTuple

from chartloop.kernel.db_session import Session, Tx
from chartloop.kernel.streams.ports import BEGINNING, Mark

RELAY: Final = "relay"
"""The relay's name among those that follow the outbox."""


class Moved(Exception):
    """Another process has read on in this shard."""


class Held(NamedTuple):
    """Where a reader is in one shard: the last record's position and place, and up to where everything was acknowledged before it."""

    position: int
    last: Mark
    settled: Mark


def held(session: Session, reader: str, stream: str) -> dict[str, Held]:
    """Where a reader is, by shard."""
    rows = session.all(
        "SELECT shard, position, xid, seq, settled_xid, settled_seq FROM stream_position WHERE reader = ? AND stream = ?", (reader, stream)
    )
    return {shard: Held(int(position), Mark(xid, seq), Mark(settled_xid, settled_seq)) for shard, position, xid, seq, settled_xid, settled_seq in rows}


def move(tx: Tx, reader: str, stream: str, shard: str, before: Held | None, after: Held) -> None:
    """Put a reader somewhere else in a shard.

    Raises:
        Moved: It is no longer where it was; whoever moved it has done what was to be done.
    """
    values = (str(after.position), *after.last, *after.settled, reader, stream, shard)
    if before is None:
        count = tx.run(
            "INSERT INTO stream_position (position, xid, seq, settled_xid, settled_seq, reader, stream, shard) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            values,
        )
    else:
        count = tx.run(
            "UPDATE stream_position SET position = ?, xid = ?, seq = ?, settled_xid = ?, settled_seq = ?"
            " WHERE reader = ? AND stream = ? AND shard = ? AND position = ?",
            (*values, str(before.position)),
        )
    if not count:
        raise Moved


def sent(tx: Tx, stream: str, last: dict[str, Mark]) -> None:
    """Note what the relay sent last to each shard."""
    tx.many(
        "INSERT INTO stream_position (reader, stream, shard, position, xid, seq, settled_xid, settled_seq) VALUES (?, ?, ?, '0', ?, ?, -1, 0)"
        " ON CONFLICT (reader, stream, shard) DO UPDATE SET xid = excluded.xid, seq = excluded.seq",
        [(RELAY, stream, shard, *mark) for shard, mark in last.items()],
    )


def cursor(session: Session, reader: str, *, lock: bool = False) -> Mark:
    """Up to where a reader has seen the outbox.

    Raises:
        LookupError: It has never begun.
    """
    row = session.one(f"SELECT xid, seq FROM event_cursor WHERE consumer = ?{' FOR UPDATE' if lock and session.dialect == 'postgresql' else ''}", (reader,))
    if row is None:
        raise LookupError(f"No consumer {reader} is subscribed.")
    return Mark(*row)


def relayed(session: Session) -> Mark:
    """Up to where the relay has published; the beginning where it has not begun."""
    try:
        return cursor(session, RELAY)
    except LookupError:
        return BEGINNING


def taken(session: Session, reader: str, stream: str, floor: Mark) -> Mark:
    """Up to where a consumer has taken everything out of the stream, whatever the shards.

    In a shard whose last record it has taken, nothing is missing. In any other, everything is there that was acknowledged before
    the record that it took last was sent. The relay's cursor is read first: it may only be older than what is compared with it.
    """
    published = relayed(session)
    mine = held(session, reader, stream)
    open_ends = [
        mine[shard].settled if shard in mine else BEGINNING
        for shard, theirs in held(session, RELAY, stream).items()
        if theirs.last > floor and (shard not in mine or mine[shard].last != theirs.last)
    ]
    return max(floor, min([published, *open_ends]))


def move_cursor(tx: Tx, reader: str, to: Mark) -> None:
    """Note up to where a reader has seen the outbox."""
    tx.run("UPDATE event_cursor SET xid = ?, seq = ? WHERE consumer = ?", (*to, reader))


def forget(tx: Tx) -> None:
    """Forget the relay and every position: the table bus goes on from the consumers' cursors."""
    tx.run("DELETE FROM event_cursor WHERE consumer = ?", (RELAY,))
    tx.run("DELETE FROM stream_position")
