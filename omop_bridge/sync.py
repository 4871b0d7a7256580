"""The consumer `omop`: the research database follows the store, event by event."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker import Once
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later
from fhir_server.repository import Repository
from omop_bridge.chart import Reader
from omop_bridge.lineage import Reference
from omop_bridge.mapping.resource import FOLLOWED
from omop_bridge.runs import FOLLOW, Interrupted, advance, begin
from omop_bridge.writing import Passed, Writer

_log = structlog.get_logger(__name__)
_INTERRUPTED_S: Final = 60.0


class OmopConsumer:
    """Brings the rows of a changed resource, and of those that depend on it, to what the store says now."""

    name = "omop"
    types = frozenset({"ResourceCreated", "ResourceUpdated", "ResourceDeleted"})
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
        writer = self._open()
        if not (event.type != "ResourceDeleted" and _known(writer, reference, event.version)):

            def also(tx: Tx, passed: Passed) -> None:
                advance(tx, self._run, *passed, event.recorded)

            try:
                passed = writer.follow([reference], Reader(self._repository, Scope(self._subject, "read", event.trace or event.id)), also)
            except Interrupted:
                raise Later(_INTERRUPTED_S) from None
            _log.debug("Rows follow a resource.", action="omop.followed", type=reference.type, resources=passed.resources, rows=passed.rows)
        self._database.write(once)

    def _open(self) -> Writer:
        with self._lock:
            if self._writer is None:
                writer = self._opened()
                self._run = writer.lineage.write(lambda tx: begin(tx, self._kind, writer.release))
                self._writer = writer
            return self._writer


def _known(writer: Writer, reference: Reference, version: int) -> bool:
    """Whether the lineage has written down this version or a newer one; it does so after the rows, so they are there."""
    row = writer.lineage.one("SELECT version FROM omop_resource WHERE type = ? AND id = ?", reference)
    return row is not None and int(row[0]) >= version
