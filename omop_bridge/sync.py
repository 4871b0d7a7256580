"""The consumer `omop`: the research database follows the store, event by event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker import Once
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later
from fhir_server.repository import Repository
from omop_bridge.chart import Reader
from omop_bridge.consenting import CHANGED, unsettled
from omop_bridge.lineage import Reference, version_of
from omop_bridge.mapping.resource import FOLLOWED
from omop_bridge.runs import FOLLOW, Interrupted, Run, advance, begin, finish, latest, refuse_interrupted
from omop_bridge.writing import Passed, Writer

_log = logging.getLogger(__name__)
_INTERRUPTED_S: Final = 60.0


class OmopConsumer:
    """Brings the rows of a changed resource, and of those that depend on it, to what the store says now."""

    name = "omop"
    types = frozenset({"ResourceCreated", "ResourceUpdated", "ResourceDeleted", CHANGED})
    subjects = frozenset(FOLLOWED)
    isolation = "patient"

    def __init__(self, database: Database, repository: Repository, subject: Subject, opened: Callable[[], Writer], kind: str = FOLLOW) -> None:
        """Take the store's database for the marks, the door, who reads it, and what opens the research databases when they are needed."""
        self._database, self._repository, self._subject = database, repository, subject
        self._opened, self._kind = opened, kind
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self._run = 0

    def handle(self, event: Event, once: Once) -> None:
        """Follow one event; what is written already is written again the same way."""
        reference = Reference(*event.subject.split("/", 1))
        writer = self.open()
        try:
            refuse_interrupted(writer.lineage)
            wanted = self._wanted(writer, event, reference)
            if wanted:
                reader = Reader(self._repository, Scope(self._subject, "read", event.trace or event.id))
                writer.follow(wanted, reader, partial(_count, self._run, event.recorded))
        except Interrupted:
            raise Later(_INTERRUPTED_S) from None
        self._database.write(once)

    def _wanted(self, writer: Writer, event: Event, reference: Reference) -> list[Reference]:
        """What this event makes to be read again."""
        if event.type == CHANGED:
            return unsettled(self._repository, Scope(self._subject, "search", event.trace or event.id), writer.lineage, reference)
        return [reference] if event.type == "ResourceDeleted" or not _known(writer, reference, event.version) else []

    def open(self) -> Writer:
        """Open the research databases, and begin a run in them; the first event does so by itself."""
        with self._lock:
            if self._writer is None:
                writer = self._opened()
                self._run = writer.lineage.write(lambda tx: begin(tx, self._kind, writer.release))
                self._writer = writer
                _log.info("The research database follows the store.", extra={"action": "omop.follows", "run": self._run})
            return self._writer

    def close(self) -> Run | None:
        """End the run and let go of the research databases; None where no event has opened them."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is None:
            return None
        writer.lineage.write(lambda tx: finish(tx, self._run))
        with writer.lineage.read() as session:
            run = latest(session, self._kind)
        writer.close()
        return run


def _count(run: int, watermark: int, tx: Tx, passed: Passed) -> None:
    advance(tx, run, *passed, watermark)


def _known(writer: Writer, reference: Reference, version: int) -> bool:
    """Whether the lineage has written down this version or a newer one; it does so after the rows, so they are there."""
    return version_of(writer.lineage, reference) >= version
