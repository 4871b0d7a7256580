"""The audit log as AuditEvents: read through its own permission, written by nobody.

A search asks the index of sealed records, the newest first: what was recorded in the last second may not be there yet.
Spec: https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP/
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.index import entity_of, find
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.reading import SealedRecord, records_at
from chartloop.kernel.audit.record import AuditRecord, Kept, read_kept
from chartloop.kernel.db import Database, Session
from chartloop.kernel.errors import ChartloopError, Forbidden, NotFound
from fhir_server.audit_query import Asked, read_query
from fhir_server.audit_shape import audit_event
from fhir_server.store import Page, Stored

TYPE: Final = "AuditEvent"
READ: Final = "audit-read"


class AuditEvents:
    """Readers' view of the audit log."""

    def __init__(self, database: Database, access: Access, audit: Audit, data: Path, base: str = "") -> None:
        """Take where the log is, who may read it, where this reading is recorded, and the address of the server."""
        self._database = database
        self._access = access
        self._audit = audit
        self._directory = audit_directory(data)
        self._base = base

    def read(self, scope: Scope, id_: str) -> Stored:
        """Return one event; its id is its number in the log."""
        self._require(scope, id_)
        number = int(id_) if id_.isascii() and id_.isdigit() and len(id_) < len(str(2**62)) else 0
        with self._database.read() as session:
            found = self._events(records_at(session, self._directory, [number])) if number else []
        if not found:
            self._audit.access(_record(scope, f"{TYPE}/{id_[:64]}", "", reason="not-found"))
            raise NotFound
        self._audit.access(_record(scope, f"{TYPE}/{id_}", ""))
        return found[0][1]

    def search(self, scope: Scope, query: str) -> Page:
        """Return one page, the newest first."""
        self._require(scope, query)
        try:
            asked = read_query(query, self._base)
        except ChartloopError as error:
            self._audit.access(_record(scope, TYPE, query, reason=error.category))
            raise
        with self._database.read(snapshot=True) as session:
            numbers = self._numbers(session, asked)
            events = self._events(records_at(session, self._directory, numbers[: asked.page]))
        matching = [stored for kept, stored in events if _is_wanted(kept, asked)]
        self._audit.access(_record(scope, TYPE, query, asked.wanted.patients))
        following = f"{asked.said}&_before={numbers[asked.page - 1]}".lstrip("&") if 0 < asked.page < len(numbers) else None
        return Page(tuple(matching), (), None, following, asked.said)

    def _numbers(self, session: Session, asked: Asked) -> list[int]:
        """Find one more than a page has; `_id` names a few, which are looked at as they are."""
        limit = asked.page + 1 if asked.page else 0
        found = find(session, asked.wanted, before=asked.before, limit=limit) if asked.numbers is None else None
        if found is not None:
            return found
        wanted = {number for number in asked.numbers or () if number and (asked.before is None or number < asked.before)}
        return sorted(wanted, reverse=True)[:limit]

    def _events(self, records: list[SealedRecord]) -> list[tuple[Kept, Stored]]:
        """Turn records into events; one that cannot be read any more is left out: verification says that."""
        return [(kept, self._stored(record.seq, kept)) for record in records if (kept := read_kept(record.body)) is not None]

    def _stored(self, seq: int, kept: Kept) -> Stored:
        body = msgspec.json.encode(audit_event(seq, kept, self._base))
        return Stored(TYPE, str(seq), 1, kept.recorded, body, redacted=False, deleted=False, method="POST")

    def _require(self, scope: Scope, query: str) -> None:
        reading = Scope(scope.subject, READ, scope.request)
        if not self._access.decides(reading, RowAttributes(TYPE, frozenset(), "", "", "")):
            self._audit.access(_record(scope, TYPE, query, reason="forbidden"))
            raise Forbidden


def _is_wanted(kept: Kept, asked: Asked) -> bool:
    """Look at a match again: two names may share a hash, and what `_id` names was not asked of the index."""
    wanted = asked.wanted
    entities = {entity_of(target) for target in kept.targets}
    return (
        (not wanted.entities or not entities.isdisjoint(wanted.entities))
        and (not wanted.patients or not set(kept.patients).isdisjoint(wanted.patients))
        and (not wanted.agents or kept.agent in wanted.agents)
        and (wanted.interactions is None or kept.interaction in wanted.interactions)
        and kept.interaction not in wanted.not_interactions
        and (not wanted.actions or kept.action in wanted.actions)
        and (not wanted.outcomes or kept.outcome in wanted.outcomes)
        and (wanted.since is None or kept.recorded >= wanted.since)
        and (wanted.until is None or kept.recorded < wanted.until)
    )


def _record(scope: Scope, target: str, query: str, patients: tuple[str, ...] = (), *, reason: str = "") -> AuditRecord:
    return AuditRecord("E" if query else "R", READ, "4" if reason else "0", scope.subject, (target,), patients, query, scope.request, reason)
