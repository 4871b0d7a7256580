"""What an operator decides on: dead letters, replays, jobs; each decision is recorded with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.broker import Bus
from chartloop.kernel.clock import iso
from chartloop.kernel.db_session import Database, Tx
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.jobs import table

RETRIED: Final = "dead-letter-retried"
DROPPED: Final = "dead-letter-dropped"
REPLAYED: Final = "events-replayed"
JOB_ASKED: Final = "job-asked"
JOB_PAUSED: Final = "job-paused"
JOB_RESUMED: Final = "job-resumed"

T = TypeVar("T")


class Operating:
    """Decisions of operators, by command or on the operations page."""

    def __init__(self, database: Database, audit: Audit, dead_letters: DeadLetters) -> None:
        """Take what they decide on, and where that is recorded."""
        self._db, self._audit, self._letters = database, audit, dead_letters

    def retry(self, who: Subject, letter: str, request: str = "") -> None:
        """Let a consumer try a dead letter again.

        Raises:
            NotFound: There is none of this id.
        """
        self._letters.retry(letter, self._recorded(who, RETRIED, f"dead-letter/{letter}", request))

    def drop(self, who: Subject, letter: str, request: str = "") -> None:
        """Give a dead letter up for good.

        Raises:
            NotFound: There is none of this id.
        """
        self._letters.drop(letter, self._recorded(who, DROPPED, f"dead-letter/{letter}", request))

    def run_job(self, who: Subject, name: str, request: str = "") -> int:
        """Ask for a run of a job now; return the instant that its run will be later than, in microseconds.

        Raises:
            NotFound: There is no such job.
        """
        return self._job(who, JOB_ASKED, name, request, table.ask)

    def pause_job(self, who: Subject, name: str, request: str = "") -> None:
        """Let a job rest until it is resumed.

        Raises:
            NotFound: There is no such job.
        """
        self._job(who, JOB_PAUSED, name, request, partial(table.pause, paused=True))

    def resume_job(self, who: Subject, name: str, request: str = "") -> None:
        """Let a paused job go on.

        Raises:
            NotFound: There is no such job.
        """
        self._job(who, JOB_RESUMED, name, request, partial(table.pause, paused=False))

    def replay(self, who: Subject, bus: Bus, consumer: str, since: int, types: frozenset[str] = frozenset()) -> int:
        """Deliver again what was recorded since an instant; it is recorded before anything is delivered. Return how many events."""
        said = f"since={iso(since)}{''.join(f'&type={each}' for each in sorted(types))}"
        self._audit.access(AuditRecord("E", REPLAYED, "0", who, (f"consumer/{consumer}",), (), said))
        return bus.replay(consumer, since, types)

    def _job(self, who: Subject, interaction: str, name: str, request: str, change: Callable[[Tx, str], T]) -> T:
        record = self._recorded(who, interaction, f"job/{name}", request)

        def work(tx: Tx) -> T:
            found = change(tx, name)
            record(tx)
            return found

        return self._db.write(work)

    def _recorded(self, who: Subject, interaction: str, target: str, request: str) -> Callable[[Tx], None]:
        return lambda tx: self._audit.change(tx, AuditRecord("E", interaction, "0", who, (target,), (), request=request))
