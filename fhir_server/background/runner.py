"""Threads that carry out jobs: each as a request of its subject, through the same gate, handlers and door.

What a job may see and do is decided by the policies and grants of the moment in which it runs; a job whose token was revoked does not.
Spec: https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

import io
import logging
import threading
from functools import partial
from typing import Any, Final

from chartloop.kernel import clock
from chartloop.kernel.errors import Issue, Unauthenticated
from chartloop.kernel.http import Environ, WsgiApp
from fhir_server.background.jobs import BATCH, RUNNING, STORED, AsyncJobs, Job
from fhir_server.http.outcome import outcome, status_of

_log = logging.getLogger(__name__)
_POLL_S: Final = 1.0
_TEND_S: Final = 20.0
_INTERRUPTED: Final = "The server stopped while it worked on this batch: some of its entries may have been carried out."
_LOST: Final = "This transaction was carried out; the server stopped before its answer was kept."


class AsyncRunner:
    """A pool of threads over the table of jobs."""

    def __init__(self, jobs: AsyncJobs, threads: int = 2) -> None:
        """Take the jobs; nothing runs yet."""
        self.jobs = jobs
        self._count = threads
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, app: WsgiApp) -> None:
        """Begin; `app` answers the API below /fhir."""
        for number in range(self._count):
            self._run(f"chartloop-async-{number}", partial(self._work, app))
        self._run("chartloop-async-leases", self._tend)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Let what runs finish; what lasts longer is taken up again by the next process."""
        self._stopping.set()
        self.jobs.woken.set()
        end_s = clock.perf_s() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end_s - clock.perf_s()))

    def work_off(self, app: WsgiApp) -> int:
        """Carry out what waits, in this thread; return how many jobs."""
        done = 0
        while not self._stopping.is_set() and (job := self.jobs.take()) is not None:
            self.jobs.finish(job.id, *carried_out(self.jobs, app, job))
            done += 1
        return done

    def _run(self, name: str, target: Any) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, app: WsgiApp) -> None:
        while not self._stopping.is_set():
            self.jobs.woken.clear()
            try:
                if not self.work_off(app):
                    self.jobs.woken.wait(_POLL_S)
            except Exception as error:
                _log.error("A job could not be carried out.", extra={"action": "async.failed", "kind": type(error).__name__})
                self._stopping.wait(_POLL_S)

    def _tend(self) -> None:
        while not self._stopping.wait(_TEND_S):
            try:
                self.jobs.renew()
                self.jobs.forget()
            except Exception as error:
                _log.error("Jobs could not be tended.", extra={"action": "async.failed", "kind": type(error).__name__})


def carried_out(jobs: AsyncJobs, app: WsgiApp, job: Job) -> tuple[int, bytes]:
    """Answer a job: status and body. What may have been carried out before is not carried out again."""
    if job.state == STORED:
        return 500, outcome([Issue("error", "incomplete", _LOST)])
    try:
        jobs.begin(job)
    except Unauthenticated as refused:
        return status_of(refused), outcome(refused.issues)
    if job.state == RUNNING and job.request.kind == BATCH:
        return 500, outcome([Issue("error", "incomplete", _INTERRUPTED)])
    status: list[str] = []
    parts = app(_environ(jobs, job), lambda line, *_: status.append(line))
    try:
        body = b"".join(parts)
    finally:
        getattr(parts, "close", lambda: None)()
    return int(status[0][:3]), body


def _environ(jobs: AsyncJobs, job: Job) -> Environ:
    """The request as a server would hand it in; who asks comes beside it, where no header reaches."""
    return {
        "SCRIPT_NAME": "", "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        **job.request.environ,
        "CONTENT_LENGTH": str(len(job.request.body)),
        "wsgi.input": io.BytesIO(job.request.body),
        "chartloop.request_id": job.number,
        "chartloop.subject": job.subject,
        "chartloop.also": lambda tx: jobs.stored(tx, job.id),
    }  # fmt: skip
