"""The one door to a stored resource: every reader and writer comes through here, with a scope that has no default.

Each method delegates to the interaction of its name; the order of a write is access, validation, version, index, labels,
audit, outbox, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from chartloop.kernel.access.engine import View
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.db import Tx
from chartloop.kernel.errors import ChartloopError, Issue
from fhir_server.auditing import refused
from fhir_server.capability import current_statement
from fhir_server.explaining import why
from fhir_server.interactions.batch import batch
from fhir_server.interactions.conditional_delete import conditional_delete
from fhir_server.interactions.conditional_patch import conditional_patch
from fhir_server.interactions.conditional_update import conditional_update
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.entry_reads import PLAINLY, Answer, Reading
from fhir_server.interactions.history import history
from fhir_server.interactions.patch import patch
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search, searches
from fhir_server.interactions.search_compartment import search_compartment
from fhir_server.interactions.search_system import search_system
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.operations.break_glass import break_glass, mend_glass
from fhir_server.operations.disclose import disclose, may_disclose, withheld
from fhir_server.operations.everything import everything
from fhir_server.operations.meta_change import meta_add, meta_delete
from fhir_server.operations.meta_of import meta_of
from fhir_server.operations.reindex import reindex, reindexing
from fhir_server.operations.stream import stream
from fhir_server.operations.validate import Trial, validate_resource
from fhir_server.patching.documents import JSON_PATCH, read_patch
from fhir_server.preconditions import IfMatch
from fhir_server.reindexing.jobs import Job
from fhir_server.store import Also, Page, Store, Stored, Written

__all__ = ["Also", "Page", "Repository", "Stored", "Written"]

Body = bytes | Mapping[str, Any]


class Repository:
    """FHIR interactions under a scope."""

    def __init__(self, store: Store) -> None:
        """Take what the interactions work with."""
        self._store = store

    @property
    def full_text(self) -> bool:
        """Whether words of texts can be searched for."""
        return self._store.full_text

    @property
    def glass_minutes(self) -> float:
        """How long a chart stays open that was opened in an emergency."""
        return self._store.glass_minutes

    def read(self, scope: Scope, type_: str, id_: str, query: str = "") -> Stored:
        """Return the current version, or what `_summary` and `_elements` leave of it; NotFound where there is none for this reader, Gone where it is deleted."""
        return read(self._store, scope, type_, id_, query)

    def vread(self, scope: Scope, type_: str, id_: str, version: int, query: str = "") -> Stored:
        """Return one version."""
        return vread(self._store, scope, type_, id_, version, query)

    def create(
        self, scope: Scope, body: Body, *, type_: str | None = None, if_none_exist: str = "", also: Also | None = None
    ) -> Written:
        """Store a new resource; with criteria, only if nothing matches them."""
        return create(self._store, scope, body, type_=type_, if_none_exist=if_none_exist, also=also)

    def update(
        self,
        scope: Scope,
        type_: str,
        id_: str,
        body: Body,
        *,
        if_match: IfMatch = None,
        create_only: bool = False,
        also: Also | None = None,
    ) -> Written:
        """Store the next version; none if nothing changes; if asked to, only create."""
        return update(self._store, scope, type_, id_, body, if_match=if_match, create_only=create_only, also=also)

    def conditional_update(
        self,
        scope: Scope,
        type_: str,
        query: str,
        body: Body,
        *,
        if_match: IfMatch = None,
        create_only: bool = False,
        also: Also | None = None,
    ) -> Written:
        """Update the one resource that matches, or create where nothing does."""
        return conditional_update(self._store, scope, type_, query, body, if_match=if_match, create_only=create_only, also=also)

    def patch(
        self, scope: Scope, type_: str, id_: str, body: bytes, *, media_type: str = JSON_PATCH, if_match: IfMatch = None, also: Also | None = None
    ) -> Written:
        """Store what a JSON Patch or a FHIRPath Patch makes of the current version; none if nothing changes."""
        return patch(self._store, scope, type_, id_, partial(read_patch, body, media_type), if_match=if_match, also=also)

    def conditional_patch(
        self, scope: Scope, type_: str, query: str, body: bytes, *, media_type: str = JSON_PATCH, if_match: IfMatch = None, also: Also | None = None
    ) -> Written:
        """Patch the one resource that matches."""
        return conditional_patch(self._store, scope, type_, query, partial(read_patch, body, media_type), if_match=if_match, also=also)

    def delete(
        self, scope: Scope, type_: str, id_: str, *, if_match: IfMatch = None, also: Also | None = None
    ) -> Written:
        """Delete a resource; its history stays."""
        return delete(self._store, scope, type_, id_, if_match=if_match, also=also)

    def conditional_delete(
        self, scope: Scope, type_: str, query: str, *, if_match: IfMatch = None, also: Also | None = None
    ) -> Written:
        """Delete the one resource that matches, or all that do; version 0 in the answer says that it was not one."""
        return conditional_delete(self._store, scope, type_, query, if_match=if_match, also=also)

    def history(self, scope: Scope, type_: str | None = None, id_: str | None = None, params: str = "") -> Page:
        """Return one page of versions of a resource, a type or everything, newest first."""
        return history(self._store, scope, type_, id_, params)

    def search(self, scope: Scope, type_: str, query: str, *, lenient: bool = False) -> Page:
        """Return one page of a search; `next` of a page is the query of the page after it."""
        return search(self._store, scope, type_, query, lenient=lenient)

    def searches(self, scope: Scope, asked: Iterable[tuple[str, str]]) -> list[Page]:
        """Return the first page of each of some searches, each a type and a query: audited one by one, durable together."""
        return searches(self._store, scope, asked)

    def search_system(self, scope: Scope, query: str, *, lenient: bool = False) -> Page:
        """Return one page of a search on every type, or on those that `_type` names."""
        return search_system(self._store, scope, query, lenient=lenient)

    def search_compartment(self, scope: Scope, place: tuple[str, str, str], query: str, *, lenient: bool = False) -> Page:
        """Return one page of a search in the compartment of a resource: its type, its id, and the type to look for or `*`."""
        return search_compartment(self._store, scope, place, query, lenient=lenient)

    def all(self, scope: Scope, type_: str, query: str) -> Iterator[Stored]:
        """Yield the matches of every page."""
        following: str | None = query
        while following is not None:
            page = self.search(scope, type_, following)
            yield from page.entries
            following = page.next

    def transaction(self, scope: Scope, bundle: Body, *, also: Also | None = None, reading: Reading = PLAINLY) -> list[Answer]:
        """Process a transaction Bundle: all of it or nothing; the answers are in the order of the entries."""
        return transaction(self._store, scope, bundle, also=also, reading=reading)

    def batch(self, scope: Scope, bundle: Body, *, reading: Reading = PLAINLY) -> list[Answer]:
        """Process a batch Bundle: each entry by itself; a failed one is answered with its error."""
        return batch(self._store, scope, bundle, reading)

    def stream(self, scope: Scope, types: Sequence[str]) -> Iterator[Stored]:
        """Yield every current resource of some types, under one audit record."""
        return stream(self._store, scope, types)

    def everything(self, scope: Scope, type_: str, id_: str, query: str = "") -> Page:
        """Return one page of a patient's or an encounter's compartment and what it refers to; no id: the patient in context."""
        return everything(self._store, scope, type_, id_, query)

    def validate(self, scope: Scope, type_: str, id_: str, mode: str, resource: bytes = b"") -> tuple[Issue, ...]:
        """Return every error of a resource that would be created, updated or deleted, and what was not checked."""
        return validate_resource(self._store, scope, type_, id_, Trial(mode, resource))

    def meta(self, scope: Scope, type_: str = "", id_: str = "", version: int | None = None) -> dict[str, Any]:
        """Return the Meta of a resource or one of its versions, or what is in use on a type or the system."""
        return meta_of(self._store, scope, type_, id_, version)

    def meta_add(
        self, scope: Scope, type_: str, id_: str, meta: Mapping[str, Any], *, if_match: int | None = None
    ) -> tuple[Written, dict[str, Any]]:
        """Add profiles, tags and labels to a resource."""
        return meta_add(self._store, scope, type_, id_, meta, if_match=if_match)

    def meta_delete(
        self, scope: Scope, type_: str, id_: str, meta: Mapping[str, Any], *, if_match: int | None = None
    ) -> tuple[Written, dict[str, Any]]:
        """Take profiles, tags and labels of a resource away; sensitivity labels stay."""
        return meta_delete(self._store, scope, type_, id_, meta, if_match=if_match)

    def disclose(self, tx: Tx, scope: Scope, recipient: Subject, references: Iterable[str], version: str) -> None:
        """Record that resources leave the house, in the transaction that lets them go; Withheld where the policies do not let them."""
        disclose(self._store, tx, scope, recipient, references, version)

    def may_disclose(self, tx: Tx, scope: Scope, recipient: Subject, references: Iterable[str]) -> None:
        """See that resources may leave the house, and record nothing; Withheld where the policies do not let them."""
        may_disclose(self._store, tx, scope, recipient, references)

    def withheld(self, scope: Scope, recipient: Subject, references: Iterable[str]) -> None:
        """Record that something was not disclosed, and by which policies."""
        withheld(self._store, scope, recipient, references)

    def would_permit(self, scope: Scope, row: RowAttributes) -> bool:
        """Whether something would be permitted on a row of these attributes, by policies and grants; it looks at no row."""
        return self._store.access.decides(scope, row)

    def break_glass(self, scope: Scope, id_: str, code: str, reason: str) -> int:
        """Open the chart of a patient to this session, in an emergency; return when it closes, in microseconds."""
        return break_glass(self._store, scope, id_, code, reason)

    def mend_glass(self, scope: Scope, id_: str) -> bool:
        """Close what this session opened; False: it was closed already."""
        return mend_glass(self._store, scope, id_)

    def reindex(self, scope: Scope, type_: str = "") -> tuple[Job, ...]:
        """Start making the index rows of a type, or of all, anew; return the jobs as they stand."""
        return reindex(self._store, scope, type_)

    def reindexing(self, scope: Scope, type_: str = "") -> tuple[Job, ...]:
        """Return the latest jobs that bring index rows up to date."""
        return reindexing(self._store, scope, type_)

    def why(self, scope: Scope, type_: str, id_: str) -> tuple[View, ...]:
        """Return the policies that let this reader see a resource, and what each of them shows of it; none where there is nothing to see."""
        return why(self._store, scope, type_, id_)

    def capability_statement(self, base: str, interactions: tuple[str, ...]) -> bytes:
        """Say what this server does, now; anybody may ask."""
        return current_statement(self._store, base, interactions)

    def refused(self, scope: Scope, target: str, error: ChartloopError) -> None:
        """Make a refusal in front of the door (no token, a wrong media type) durable in the audit log."""
        refused(self._store, scope, target, error)
