"""The table of jobs: when each ran, what came of it, when it runs next, and what an operator asked for."""

from __future__ import annotations

from typing import Final, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.db_session import Session, Tx
from chartloop.kernel.errors import NotFound

RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
OUTCOMES: Final = (DONE, FAILED)


class JobRow(NamedTuple):
    """A job as the table has it; instants in microseconds since 1970 UTC, 0 for never.

    Attributes:
        name: What it is called.
        schedule: When it runs, in words.
        next_run: When it is due.
        last_run: When it was begun last.
        duration_us: How long it took then.
        outcome: What came of it: running, done, failed; empty before the first run.
        reason: Kind of the error, where it failed.
        attempt: Failures in a row.
        runs: How often it was run in all.
        failures: How often it failed in all.
        paused: 1 where an operator stopped it.
        asked: When an operator asked for a run that was not begun yet.
    """

    name: str
    schedule: str
    next_run: int
    last_run: int
    duration_us: int
    outcome: str
    reason: str
    attempt: int
    runs: int
    failures: int
    paused: int
    asked: int


_COLUMNS: Final = ", ".join(JobRow._fields)


def job_rows(session: Session) -> list[JobRow]:
    """Every job, by name."""
    return [JobRow(*row) for row in session.all(f"SELECT {_COLUMNS} FROM job ORDER BY name")]


def job_row(session: Session, name: str) -> JobRow:
    """One job.

    Raises:
        NotFound: There is none of this name.
    """
    row = session.one(f"SELECT {_COLUMNS} FROM job WHERE name = ?", (name,))
    if row is None:
        raise NotFound("There is no such job; `chartloop jobs list` names them. A job is known once a server has run.")
    return JobRow(*row)


def ask(tx: Tx, name: str) -> int:
    """Ask for a run as soon as possible, of a paused job too; return the instant by which its last run can be told from earlier ones."""
    now = clock.now_us()
    job_row(tx, name)
    tx.run("UPDATE job SET asked = ? WHERE name = ?", (now, name))
    return now


def pause(tx: Tx, name: str, *, paused: bool) -> None:
    """Let a job rest, or go on; what came due meanwhile is run once."""
    job_row(tx, name)
    tx.run("UPDATE job SET paused = ? WHERE name = ?", (int(paused), name))
