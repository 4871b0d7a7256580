"""Events that a long transaction holds back: readers stay below the oldest transaction that still runs, whoever runs it.

On PostgreSQL that is any writing transaction of the whole cluster, other databases and prepared transactions included.
Spec: https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-SNAPSHOT (pg_snapshot_xmin)
"""

import logging
from typing import NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.db_session import Database, Session

_log = logging.getLogger(__name__)
_HELD = "SELECT count(*), min(recorded) FROM event WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
# Of other accounts only a member of pg_read_all_stats sees the age; the identity of a session is never shown, nor what it runs.
_HOLDER = "SELECT datname, pid FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY age(backend_xid) DESC LIMIT 1"


class HeldBack(NamedTuple):
    """How many events are stored and hidden from every consumer, and for how long the oldest of them."""

    events: int
    age_s: float


def held_back(session: Session) -> HeldBack:
    """Ask how much is held back now; on SQLite nothing ever is."""
    if session.dialect != "postgresql":
        return HeldBack(0, 0.0)
    row = session.one(_HELD)
    number, oldest = row or (0, None)
    return HeldBack(int(number), 0.0 if oldest is None else max(0.0, (clock.now_us() - oldest) / 1e6))


def holder(session: Session) -> str:
    """Say which session of the cluster holds events back, as far as this account may know."""
    row = session.one(_HOLDER)
    return f"process {row[1]} in database {row[0]}" if row else "a session or a prepared transaction that this account may not see"


def watch_held_back(database: Database, alarm_s: float) -> HeldBack:
    """Warn in the log of events that are held back for longer than they should be."""
    with database.read() as session:
        held = held_back(session)
        who = holder(session) if held.age_s > alarm_s else ""
    if who:
        _log.warning(
            "Events are stored and no consumer sees them: a transaction elsewhere in the PostgreSQL cluster holds them back.",
            extra={"action": "events.held-back", "events": held.events, "age_s": round(held.age_s), "holder": who},
        )
    return held
