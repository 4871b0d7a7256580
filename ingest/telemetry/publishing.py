"""What is due becomes FHIR through the door: closed hour blocks and single measures, some at a time, each exactly once.

An Observation is created in the transaction that marks its row as published, so that nobody makes a second one; should the process
die before the new id is known, the Observation is found by its identifier when it changes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Unavailable
from fhir_server.store import Written
from ingest.telemetry import chunk, due, observation, sources, spots

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db_session import Database, Tx
    from fhir_server.repository import Repository
    from ingest.telemetry.due import Due
    from ingest.telemetry.observation import Resource
    from ingest.telemetry.sources import StoredSource

AT_ONCE: Final = 50
_RETRY_US: Final = 60_000_000
_log = logging.getLogger(__name__)


class _Ready(NamedTuple):
    row: Due
    resource: Resource
    id: str


class Publisher:
    """Writes Observations as an engine."""

    def __init__(self, database: Database, repository: Repository, subject: Subject) -> None:
        """Read what is kept in `database`, write through `repository` as `subject`."""
        self._database = database
        self._repository = repository
        self._scope = Scope(subject, "transaction", "telemetry")

    def publish(self, subject: str = "", *, limit: int = 2**31) -> int:
        """Publish what is due, of one patient or of all; give how many Observations were written."""
        written = 0
        while written < limit:
            with self._database.read() as session:
                rows = due.load(session, clock.now_us(), subject, min(AT_ONCE, limit - written))
            if not rows:
                break
            written += self._some(rows)
        return written

    def _some(self, rows: list[Due]) -> int:
        """Publish some together; if that fails, each by itself, so that one that cannot be written holds up no other."""
        try:
            return self._write(rows)
        except (ChartloopError, due.Taken) as error:
            if len(rows) > 1:
                return sum(self._some([row]) for row in rows)
            self._put_off(rows[0], error)
            return 0

    def _put_off(self, row: Due, error: Exception) -> None:
        if isinstance(error, due.Taken):
            return  # it changed, or another process was quicker
        later = clock.now_us() + _RETRY_US if isinstance(error, Unavailable) else None
        self._database.write(lambda tx: due.put_off(tx, row, later))
        found = [f"{issue.code} at {issue.expression or '-'}" for issue in getattr(error, "issues", ())]
        said = {"action": "telemetry.not_published", "kind": type(error).__name__, "row": row.id, "issues": found}
        _log.error("A telemetry Observation could not be written.", extra=said)

    def _write(self, rows: list[Due]) -> int:
        ready = [self._ready(row) for row in rows]
        made = [each for each in ready if each.resource]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [_entry(each) for each in made]}

        def also(tx: Tx) -> None:
            for row in rows:
                due.published(tx, row)

        if not made:
            self._database.write(also)
            return 0
        answers = self._repository.transaction(self._scope, bundle, also=also)
        fresh = [
            (each.row, answer.stored.id) for each, answer in zip(made, answers, strict=True) if not each.id and isinstance(answer, Written)
        ]
        if fresh:
            self._database.write(lambda tx: due.named(tx, fresh))
        return len(made)

    def _ready(self, row: Due) -> _Ready:
        with self._database.read() as session:
            source = sources.load(session, row.source)
        id_ = row.observation or (self._find(row) if row.published else "")
        device = f"Device/{source.device or self._device(source)}"
        again = bool(id_)
        if row.is_block:
            readings = chunk.decode(row.body, row.metric, source.source) if row.body else []
            if not readings:
                return self._withdraw(row, id_)
            resource = observation.block_to_observation(row.identifier(source), row.subject, device, readings, again=again)
        else:
            resource = observation.spot_to_observation(row.identifier(source), row.subject, device, spots.decode(row.body), again=again)
        return _Ready(row, {**resource, "id": id_} if id_ else resource, id_)

    def _withdraw(self, row: Due, id_: str) -> _Ready:
        if not id_:
            return _Ready(row, {}, "")
        stored = self._repository.read(Scope(self._scope.subject, "read", self._scope.request), "Observation", id_)
        return _Ready(row, observation.withdrawn(stored.json()), id_)

    def _find(self, row: Due) -> str:
        with self._database.read() as session:
            source = sources.load(session, row.source)
        system = observation.BLOCK if row.is_block else observation.SPOT
        found = self._repository.search(Scope(self._scope.subject, "search", self._scope.request), "Observation", f"identifier={system}|{row.identifier(source)}")
        return found.entries[0].id if found.entries else ""

    def _device(self, source: StoredSource) -> str:
        """Make the Device of a source, once."""
        name = f"{source.subject.rpartition('/')[2]}/{source.key[:32]}"
        body, criteria = observation.source_to_device(name, source.subject, source.source), f"identifier={observation.SOURCE}|{name}"
        made = self._repository.create(self._scope, body, type_="Device", if_none_exist=criteria)
        self._database.write(lambda tx: sources.name_device(tx, source.id, made.stored.id))
        return made.stored.id


def _entry(ready: _Ready) -> Resource:
    method, url = ("PUT", f"Observation/{ready.id}") if ready.id else ("POST", "Observation")
    return {"resource": ready.resource, "request": {"method": method, "url": url}}
