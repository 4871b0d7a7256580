"""Creates and updates of a batch, stored many at a time.

Each is judged and prepared by itself, and answered and recorded by itself; only the transaction is shared. Where that fails, because
one was prepared on what another one changed, each is stored alone, as if there were no others.
Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Tx
from chartloop.kernel.errors import ChartloopError
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit_once
from fhir_server.defining import TYPE
from fhir_server.entry_request import EntryRequest
from fhir_server.interactions.create import creation
from fhir_server.interactions.entry_reads import Answer
from fhir_server.interactions.update import updating
from fhir_server.matching import lock, lock_key, matches
from fhir_server.relabelling import newly_labelled
from fhir_server.search.tree import Query
from fhir_server.store import Store, Written, acting
from fhir_server.transaction_plan import naming
from fhir_server.validation.bundles import BundleEntry
from fhir_server.writing import Batch, Part, Stale

MOST: Final = 100
"""So many are stored in one transaction."""

Alone = Callable[[BundleEntry, EntryRequest], Written]


class _Waiting(NamedTuple):
    """An entry that is prepared."""

    place: int
    entry: BundleEntry
    request: EntryRequest
    scope: Scope
    batch: Batch
    condition: Query | None
    """What may match nothing but this one when it is stored."""


class BatchWrites:
    """Writes of one batch; their answers are filled in when they are stored."""

    def __init__(self, store: Store, scope: Scope, alone: Alone, answers: dict[int, Answer]) -> None:
        """Take what stores an entry by itself, and where answers go."""
        self._store, self._scope, self._alone, self._answers = store, scope, alone, answers
        self._waiting: list[_Waiting] = []
        self._marks: set[object] = set()
        self._known = 0

    def takes(self, request: EntryRequest) -> bool:
        """Whether an entry is a create, or an update by id, and may be stored with others."""
        return not request.reads and request.type != TYPE and (request.method == "POST" or (request.method == "PUT" and not request.query))

    def add(self, index: int, entry: BundleEntry, request: EntryRequest) -> None:
        """Prepare an entry; refusals are answered at once."""
        if len(self._waiting) >= MOST or (request.id and (request.type, request.id) in self._marks):
            self.store()
        if not self._waiting:
            self._known = self._store.parameters.now.version
        try:
            with naming(index):
                prepared = self._prepared(index, entry, request)
        except Stale:
            self._by_itself(index, entry, request)
        except ChartloopError as error:
            self._answers[index] = error
        else:
            # What hands labels on looks at everything that was stored before it, and is looked at by everything after.
            if newly_labelled(prepared.batch) or (prepared.condition and lock_key(prepared.condition) in self._marks):
                self._by_itself(index, entry, request)
            else:
                self._waiting.append(prepared)
                self._marks.update([(request.type, request.id)] if request.id else [lock_key(prepared.condition)] if prepared.condition else [])

    def store(self) -> None:
        """Store what waits."""
        waiting, self._waiting, self._marks = self._waiting, [], set()
        if not waiting:
            return
        try:
            commit_once(self._store, self._scope, self._known, self._together(waiting))
        except (Stale, ChartloopError):
            for each in waiting:
                self._by_itself(each.place, each.entry, each.request)
        else:
            self._answers.update((each.place, each.batch.result) for each in waiting)

    def _prepared(self, index: int, entry: BundleEntry, request: EntryRequest) -> _Waiting:
        store, condition = self._store, None
        scope = acting(self._scope, "create" if request.method == "POST" else "update")
        with refusals_audited(store, scope, "/".join(part for part in (request.type, request.id) if part)):
            if request.method == "POST":
                prepare, condition = creation(store, scope, entry.resource, request.type, request.if_none_exist)
            else:
                prepare = updating(store, scope, request.type, request.id, entry.resource, request.if_match, create_only=request.create_only)
            return _Waiting(index, entry, request, scope, prepare(), condition)

    def _by_itself(self, index: int, entry: BundleEntry, request: EntryRequest) -> None:
        self.store()
        try:
            with naming(index):
                self._answers[index] = self._alone(entry, request)
        except ChartloopError as error:
            self._answers[index] = error

    def _together(self, waiting: Sequence[_Waiting]) -> Batch:
        changes = [change for each in waiting for change in each.batch.changes]
        # A condition that has found its resource is answered with that; one that has not must still find nothing but what it makes.
        conditions = {change.reference: each.condition for each in waiting for change in each.batch.changes if each.condition}
        queries = [(place, conditions[change.reference]) for place, change in enumerate(changes) if change.reference in conditions]

        def confirm(tx: Tx, rids: Sequence[int]) -> None:
            for place, query in queries:
                if {*matches(tx, self._store, self._scope, query)} - {rids[place]}:
                    raise Stale

        return Batch(
            changes,
            None,
            verify=lambda tx: lock(tx, [lock_key(query) for _, query in queries]),
            confirm=confirm,
            parts=[Part(each.scope, each.batch.targets, each.batch.changes) for each in waiting],
        )
