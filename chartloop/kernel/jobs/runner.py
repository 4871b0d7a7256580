"""Runs what is due, in the one process that holds the lease; each job in a thread of its own, so that a long one delays no other.

What a run came to is written under the lease's token: a process that was taken over from writes nothing. Its run may still be under way
when the next leader begins one, so a job must bear that, as every job here does: each works in short transactions that can be repeated.
A job that runs more often than once a minute is written down with the lease's renewal, so that an idle server writes little.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from chartloop.kernel import clock, duties, ids
from chartloop.kernel.broker import LeaseLost
from chartloop.kernel.db_session import Database, Tx
from chartloop.kernel.jobs.schedule import SECOND_US, Schedule, believable, retry_s
from chartloop.kernel.jobs.table import DONE, FAILED, RUNNING, JobRow, job_rows
from chartloop.kernel.tracing import span

_log = logging.getLogger(__name__)
_OFTEN_S: Final = 60.0
DUTY: Final = "job"
CUT_OFF: Final = "cut off"
"""Reason of a run whose process ended under it."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something that one process at a time does on a schedule; doing it twice must do no harm."""

    name: str
    schedule: Schedule
    action: Callable[[], None]

    @property
    def often(self) -> bool:
        """Whether it runs so often that not each run is written at once."""
        return self.schedule.longest_s < _OFTEN_S


@dataclass(frozen=True, slots=True)
class _Ran:
    """Runs of a job that came to an end since the last was written: when the last began, what came of it, how many there were."""

    began: int
    duration_us: int
    outcome: str
    reason: str
    attempt: int
    next_run: int
    runs: int = 1
    failures: int = 0


class JobRunner:
    """Runs the jobs of this process while it leads."""

    def __init__(self, database: Database, jobs: Sequence[Job], *, lease_s: float = 30.0) -> None:
        """Take the jobs; nothing runs before the first tick."""
        self._db = database
        self._jobs = {job.name: job for job in jobs}
        self._lease_s = lease_s
        self._owner = ids.public_id()
        self._token: int | None = None
        self._renewed_s = 0.0
        self._closing = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        """Held over a whole write, so that no run is counted twice."""
        self._threads: dict[str, threading.Thread] = {}
        self._unwritten: dict[str, _Ran] = {}

    def tick(self) -> None:
        """Lead if nobody else does, and begin what is due."""
        if self._closing or not self._leads():
            return
        with self._db.read() as session:
            rows = {row.name: row for row in job_rows(session)}
        for job in self._jobs.values():
            if job.name in rows and self._is_due(job, rows[job.name]):
                self._begin(job, rows[job.name])

    def close(self, timeout_s: float) -> None:
        """Let runs end, write what is not written yet, and let somebody else lead."""
        self._closing = True
        end_s = clock.perf_s() + timeout_s
        for thread in list(self._threads.values()):
            thread.join(max(0.0, end_s - clock.perf_s()))
        token = self._token
        if token is None:
            return
        with suppress(Exception):  # a lease that cannot be given back runs out by itself
            self._write(token, lambda tx: duties.release(tx, DUTY, token))
        self._token = None

    def running(self) -> list[str]:
        """Name the jobs that run in this process now."""
        with self._lock:
            return sorted(self._threads)

    def _leads(self) -> bool:
        now_s = clock.monotonic_s()
        try:
            if self._token is None:
                self._take_over()
                self._renewed_s = now_s
            elif not 0 <= now_s - self._renewed_s < self._lease_s / 3:
                token = self._token
                self._write(token, lambda tx: duties.renew(tx, DUTY, token, self._lease_s))
                self._renewed_s = now_s
        except LeaseLost:
            self._lost()
        return self._token is not None

    def _take_over(self) -> None:
        with self._db.read() as session:
            if not duties.is_free(session, DUTY, 2 * self._lease_s):
                return
        token = self._db.write(self._taken)
        if token is not None:
            self._unwritten.clear()
            _log.info("This process runs the jobs.", extra={"action": "jobs.leading", "token_number": token})
        self._token = token

    def _taken(self, tx: Tx) -> int | None:
        """Take the lease, make every job known, and note those whose process ended under them."""
        token = duties.take(tx, DUTY, self._owner, self._lease_s, 2 * self._lease_s)
        if token is None:
            return None
        now = clock.now_us()
        for job in self._jobs.values():
            tx.run(
                "INSERT INTO job (name, schedule, next_run, last_run, duration_us, outcome, reason, attempt, runs, failures, paused, asked)"
                " VALUES (?, ?, ?, 0, 0, '', '', 0, 0, 0, 0, 0) ON CONFLICT (name) DO UPDATE SET schedule = excluded.schedule,"
                " next_run = CASE WHEN job.schedule = excluded.schedule THEN job.next_run ELSE excluded.next_run END",
                (job.name, job.schedule.text, job.schedule.after(now)),
            )
        for row in job_rows(tx):
            if row.outcome == RUNNING and row.name in self._jobs:
                again = now + _us(retry_s(row.attempt + 1, self._jobs[row.name].schedule))
                tx.run(
                    "UPDATE job SET outcome = ?, reason = ?, attempt = attempt + 1, runs = runs + 1, failures = failures + 1, next_run = ? WHERE name = ?",
                    (FAILED, CUT_OFF, again, row.name),
                )
        return token

    def _lost(self) -> None:
        if self._token is not None:
            _log.warning("Another process runs the jobs now.", extra={"action": "jobs.lost"})
        self._token = None
        self._unwritten.clear()

    def _is_due(self, job: Job, row: JobRow) -> bool:
        with self._lock:
            if job.name in self._threads:
                return False
            known = self._unwritten.get(job.name)
        if row.asked and (known is None or known.began < row.asked):
            return True
        due, now = (known.next_run if known else row.next_run), clock.now_us()
        return not row.paused and (due <= now or not believable(due, now, job.schedule))

    def _begin(self, job: Job, row: JobRow) -> None:
        token, began = self._token, clock.now_us()
        if token is None:
            return
        if not job.often:
            try:
                self._write(token, lambda tx: tx.run("UPDATE job SET outcome = ?, reason = '', last_run = ? WHERE name = ?", (RUNNING, began, job.name)))
            except LeaseLost:
                self._lost()
                return
        thread = threading.Thread(target=self._run, args=(job, row, token, began), name=f"chartloop-job-{job.name}", daemon=True)
        with self._lock:
            self._threads[job.name] = thread
        thread.start()

    def _run(self, job: Job, row: JobRow, token: int, began: int) -> None:
        known = self._unwritten.get(job.name)
        attempt, began_s, reason = (known.attempt if known else row.attempt), clock.perf_s(), ""
        try:
            with span("job", {"chartloop.job": job.name}):
                job.action()
        except Exception as error:
            _log.exception("A job failed.", extra={"action": "job.failed", "job": job.name})
            reason = type(error).__name__  # its text may quote a patient
        took = round((clock.perf_s() - began_s) * SECOND_US)
        failed = bool(reason)
        now = clock.now_us()
        following = now + _us(retry_s(attempt + 1, job.schedule)) if failed else max(job.schedule.after(began), now)
        if not believable(following, now, job.schedule):  # the clock was set back under it
            following = job.schedule.after(now)
        ran = _Ran(began, took, FAILED if failed else DONE, reason, attempt + 1 if failed else 0, following, failures=int(failed))
        try:
            self._note(job, row, token, ran)
        except LeaseLost:
            self._lost()
        except Exception:
            _log.exception("What a job came to could not be written.", extra={"action": "job.unwritten", "job": job.name})
        finally:
            with self._lock:
                del self._threads[job.name]

    def _note(self, job: Job, row: JobRow, token: int, ran: _Ran) -> None:
        with self._lock:
            before = self._unwritten.get(job.name)
            self._unwritten[job.name] = ran if before is None else replace(ran, runs=before.runs + 1, failures=before.failures + ran.failures)
        if not job.often or ran.outcome != row.outcome or row.asked:
            self._write(token, lambda tx: duties.fence(tx, DUTY, token))

    def _write(self, token: int, also: Callable[[Tx], object]) -> None:
        """Write every run that is not written yet, and something else, under the lease."""
        with self._writing:
            self._write_all(token, also)

    def _write_all(self, token: int, also: Callable[[Tx], object]) -> None:
        with self._lock:
            unwritten = dict(self._unwritten)

        def work(tx: Tx) -> None:
            duties.fence(tx, DUTY, token)
            for name, ran in unwritten.items():
                tx.run(
                    "UPDATE job SET next_run = ?, last_run = ?, duration_us = ?, outcome = ?, reason = ?, attempt = ?, runs = runs + ?,"
                    " failures = failures + ?, asked = CASE WHEN asked <= ? THEN 0 ELSE asked END WHERE name = ?",
                    (ran.next_run, ran.began, ran.duration_us, ran.outcome, ran.reason, ran.attempt, ran.runs, ran.failures, ran.began, name),
                )
            also(tx)

        self._db.write(work)
        with self._lock:
            for name, ran in unwritten.items():
                now_there = self._unwritten.get(name)
                if now_there is ran:
                    del self._unwritten[name]
                elif now_there is not None:  # it ran again meanwhile: only what was added is still to be written
                    self._unwritten[name] = replace(now_there, runs=now_there.runs - ran.runs, failures=now_there.failures - ran.failures)


def _us(seconds: float) -> int:
    return round(seconds * SECOND_US)
