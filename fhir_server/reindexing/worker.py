"""Carries reindex jobs on while the server serves; a Periodic calls `run`.

Between two steps it rests as long as the step took, so that requests keep at least half of the processor.
"""

from __future__ import annotations

import logging
import threading

from chartloop.kernel import clock
from chartloop.kernel.errors import ChartloopError
from fhir_server.reindexing.jobs import FAILED, Job, Moved, following, move
from fhir_server.reindexing.steps import step
from fhir_server.store import Store
from fhir_server.writing import Stale

_log = logging.getLogger(__name__)


class Reindexing:
    """Works on the jobs of a store, the oldest first."""

    def __init__(self, store: Store) -> None:
        """Take the store to serve."""
        self._store = store

    def run(self, seconds: float = 5.0) -> bool:
        """Work for so long at most; say whether there may be more to do."""
        end_s = clock.perf_s() + seconds
        while clock.perf_s() < end_s:
            began_s = clock.perf_s()
            if not self.step():
                return False
            threading.Event().wait(clock.perf_s() - began_s)
        return True

    def finish(self) -> None:
        """Work without rest until no job is left."""
        while self.step():
            pass

    def step(self) -> bool:
        """Carry the oldest job on by one step; say whether there was one."""
        job = following(self._store.db)
        if job is None:
            return False
        try:
            step(self._store, job)
        except Stale:
            self._store.parameters.refresh(self._store.db)
        except Moved:
            return False  # another worker is at it
        except ChartloopError:
            raise  # the database cannot do it now; the job stays where it is
        except Exception as error:
            self._fail(job, error)
        return True

    def _fail(self, job: Job, error: Exception) -> None:
        """End a job; the text of the error may quote a patient, so only its kind is kept."""
        kind = type(error).__name__
        _log.error("A reindex job failed.", extra={"action": "reindex.failed", "kind": kind, "job": job.id})
        self._store.db.write(lambda tx: move(tx, job, job._replace(state=FAILED, finished=clock.now_us(), error=kind)))
