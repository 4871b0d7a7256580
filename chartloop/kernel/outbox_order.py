"""The order in which the outbox is read: by transaction, then by number, and never past a transaction that still runs."""

from typing import Final

SETTLED: Final = "xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


def after(columns: str, *, postgresql: bool) -> str:
    """Select events after a place (xid, seq), at most so many; on PostgreSQL only below the oldest transaction that still runs."""
    settled = f"AND {SETTLED}" if postgresql else ""
    return f"SELECT {columns} FROM event WHERE (xid, seq) > (?, ?) {settled} ORDER BY xid, seq LIMIT ?"
