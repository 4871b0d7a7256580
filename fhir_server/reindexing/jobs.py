"""Jobs that bring index rows up to date: durable rows, worked off one after another, each from where it stands.

A job moves with the rows that it writes, in one transaction, and only from the position that its work was prepared for: whatever is
killed, or however many workers there are, nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from chartloop.kernel import ids
from chartloop.kernel.db import OneRow, Session, Tx

FILL: Final = "fill"
"""Index what is stored under new parameters."""
PURGE: Final = "purge"
"""Remove the rows of parameters that are no more."""
REBUILD: Final = "rebuild"
"""Make every row anew, and remove what no body says."""

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"

_COLUMNS: Final = "id, kind, types, numbers, state, phase, position, total, done, changed, requested, started, finished, error"
_SHOWN: Final = 50


class Job(NamedTuple):
    """One job as it stands."""

    id: str
    kind: str
    types: tuple[str, ...]
    """Resource types; none means every type."""
    numbers: tuple[int, ...]
    """Search parameters; none means every parameter."""
    state: str
    phase: str
    position: str
    total: int
    done: int
    changed: int
    """Rows written and removed."""
    requested: int
    started: int
    finished: int
    error: str


class Moved(Exception):
    """Another worker has carried this job on."""


def enqueue(tx: Tx, kind: str, types: Iterable[str], numbers: Iterable[int], now: int) -> str:
    """Store a new job; return its id."""
    id_ = ids.public_id()
    listed = " ".join(types), " ".join(map(str, numbers))
    tx.run(f"INSERT INTO reindex_job ({_COLUMNS}) VALUES ({', '.join('?' * 14)})", (id_, kind, *listed, WAITING, "", "", 0, 0, 0, now, 0, 0, ""))
    return id_


def waiting(session: OneRow, kind: str, types: Iterable[str]) -> str | None:
    """Find a job that does the same and has not begun."""
    found = session.one("SELECT id FROM reindex_job WHERE state = ? AND kind = ? AND types = ?", (WAITING, kind, " ".join(types)))
    return str(found[0]) if found else None


def following(session: OneRow) -> Job | None:
    """Find the job that is to be carried on: the oldest that is not done."""
    sql = f"SELECT {_COLUMNS} FROM reindex_job WHERE state IN (?, ?) ORDER BY requested, id LIMIT 1"
    found = session.one(sql, (WAITING, RUNNING))
    return _job(found) if found else None


def latest(session: Session) -> list[Job]:
    """List jobs, newest first."""
    return [_job(row) for row in session.all(f"SELECT {_COLUMNS} FROM reindex_job ORDER BY requested DESC, id LIMIT {_SHOWN}")]


def try_again(tx: Tx) -> None:
    """Let jobs that failed begin anew."""
    sql = "UPDATE reindex_job SET state = ?, phase = '', position = '', total = 0, done = 0, changed = 0, started = 0, finished = 0, error = '' "
    tx.run(sql + "WHERE state = ? AND kind <> ?", (WAITING, FAILED, REBUILD))


def move(tx: Tx, before: Job, after: Job) -> None:
    """Store where a job stands now.

    Raises:
        Moved: It does not stand where it stood.
    """
    sql = "UPDATE reindex_job SET state = ?, phase = ?, position = ?, total = ?, done = ?, changed = ?, started = ?, finished = ?, error = ? "
    new = (after.state, after.phase, after.position, after.total, after.done, after.changed, after.started, after.finished, after.error)
    if tx.run(sql + "WHERE id = ? AND state = ? AND phase = ? AND position = ?", (*new, before.id, before.state, before.phase, before.position)) == 0:
        raise Moved


def _job(row: Sequence[object]) -> Job:
    id_, kind, types, numbers, *rest = row
    return Job._make((id_, kind, tuple(str(types).split()), tuple(map(int, str(numbers).split())), *rest))
