"""Prepare a transaction outside the lock: ids, conditional matches, references, labels, and one change per entry.

Spec: https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session, Tx
from chartloop.kernel.errors import ChartloopError, Invalid, Issue, NotFound, PreconditionFailed
from fhir_server import rows
from fhir_server.entry_request import EntryRequest
from fhir_server.interactions.conditional_delete import conditional_removal
from fhir_server.interactions.conditional_update import Preconditions, matched_version
from fhir_server.interactions.create import first_version
from fhir_server.interactions.delete import removal
from fhir_server.interactions.patch import Patched, patched, patched_version
from fhir_server.interactions.update import next_version, there_already
from fhir_server.matching import criteria, lock, lock_key, single, to_delete
from fhir_server.patching.documents import entry_patch
from fhir_server.preparing import require_whole
from fhir_server.references import conditional_references_in_bytes, link_map, rewriter
from fhir_server.rows import Row
from fhir_server.search.tree import Query
from fhir_server.store import Store, Written, acting
from fhir_server.transaction_labels import BundleLabels
from fhir_server.validation.bundles import BundleEntry
from fhir_server.validation.parsing import compact as compact_json
from fhir_server.validation.resources import Validated, validate
from fhir_server.visible import visible
from fhir_server.writing import Batch, Change, Stale

_SEARCH: Final = re.compile(rb'"reference"\s*:\s*"[A-Z][A-Za-z]+\?')
"""A reference that is a search; validation refuses those that are written otherwise."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry that writes."""

    index: int
    entry: BundleEntry
    request: EntryRequest
    id: str
    condition: Query | None
    fresh: bool
    """The id was made just now: nothing is stored there."""

    @property
    def reference(self) -> str:
        """The reference that this entry's resource will have, unless its condition matches another."""
        return f"{self.request.type}/{self.id}"


class _Naming:
    __slots__ = ("_index",)

    def __init__(self, index: int) -> None:
        self._index = index

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, ChartloopError):
            where = f"Bundle.entry[{self._index}]"
            raise type(error)(issues=[_named(issue, where) for issue in error.issues]) from error


def naming(index: int) -> AbstractContextManager[None]:
    """Name the entry in every issue of its failure."""
    return _Naming(index)


def _named(issue: Issue, where: str) -> Issue:
    if issue.expression.startswith("Bundle."):
        return issue
    below = f".{issue.expression}" if issue.expression.startswith(("request.", "resource")) else ""
    return Issue(issue.severity, issue.code, f"{where}: {issue.text}", where + below)


class TransactionPlan:
    """Prepares the changes of one transaction; made anew for every attempt."""

    def __init__(self, store: Store, scope: Scope, items: Sequence[Item], session: Session) -> None:
        """Resolve conditions and references in one read."""
        self._store = store
        self._scope = scope
        self._session = session
        self._items = items
        self._creating = acting(scope, "create")
        self._matched: dict[int, Row] = {}
        self._deleted: dict[int, list[int]] = {}
        self._patched: dict[int, Patched] = {}
        self._ids = {item.index: item.id for item in items}
        self._rewrite = rewriter(self._resolve())
        self._refuse_same()
        self._current = rows.at_once(session, (self._reference(item) for item in items if item.request.method != "POST"))
        self._validated = {item.index: self._validate(item) for item in items if item.entry.resource and item.request.method != "DELETE"}
        written = {
            self._reference(item): self._validated[item.index][0].resource
            for item in items
            if item.index in self._validated and self._writes(item)
        }
        fresh = frozenset(item.reference for item in items if item.fresh and item.index not in self._matched)
        self._label = BundleLabels(store, session, written, fresh).label

    def batch(self) -> Batch:
        """Prepare every change; the results are by entry."""
        changes: list[Change] = []
        written: dict[int, Written] = {}
        for item in self._items:
            with naming(item.index):
                if item.request.method == "DELETE":
                    more, written[item.index] = self._remove(item)
                    changes += more
                    continue
                change, written[item.index] = self._change(item)
                if change is not None:
                    changes.append(change)
        targets = [f"{change.reference}/_history/{change.version}" for change in changes] or ["Bundle"]
        return Batch(changes, written, verify=self._verify, targets=targets)

    def _resolve(self) -> dict[str, str]:
        """Map every link of the bundle to the reference it will have."""
        self._match()
        assigned = {item.entry.full_url: self._reference(item) for item in self._items if item.entry.full_url}
        links = link_map(assigned)
        targets: dict[str, int] = {}
        for item in self._items:
            if _SEARCH.search(item.entry.resource):
                with naming(item.index):
                    for text in conditional_references_in_bytes(item.entry.resource):
                        if text not in links and text not in targets:
                            targets[text] = self._target(text)
        found = rows.by_rids(self._session, [*targets.values()])
        return {**links, **{text: found[rid].reference for text, rid in targets.items()}}

    def _match(self) -> None:
        """Find what the conditions mean."""
        single_ones: dict[int, int] = {}
        for item in self._items:
            if item.condition is not None:
                with naming(item.index):
                    single_ones.update((item.index, rid) for rid in self._matches(item, item.condition))
        found = rows.by_rids(self._session, [*single_ones.values()])
        for index, rid in single_ones.items():
            self._ids[index] = found[rid].id
            if index not in self._deleted:
                self._matched[index] = found[rid]

    def _matches(self, item: Item, condition: Query) -> list[int]:
        """Find the one match of a condition; none where a delete takes several."""
        if item.request.method == "DELETE":
            found = self._deleted[item.index] = to_delete(self._session, self._store, self._scope, condition)
            return found if len(found) == 1 else []
        rid = single(self._session, self._store, self._scope, condition)
        if rid is None and item.request.method == "PATCH":
            raise NotFound
        return [] if rid is None else [rid]

    def _reference(self, item: Item) -> str:
        return f"{item.request.type}/{self._ids[item.index]}"

    def _writes(self, item: Item) -> bool:
        """Whether an entry stores something or deletes it: a conditional create with a match does not."""
        return item.request.method != "POST" or item.index not in self._matched

    def _written(self, item: Item) -> list[str]:
        """References of what an entry changes."""
        if item.index not in self._deleted:
            return [self._reference(item)] if self._writes(item) else []
        found = rows.by_rids(self._session, self._deleted[item.index])
        return [row.reference for row in found.values()]

    def _refuse_same(self) -> None:
        """Refuse a transaction of which two entries have come to mean one resource."""
        seen: set[str] = set()
        for item in self._items:
            references = self._written(item)
            if not seen.isdisjoint(references):
                with naming(item.index):
                    raise Invalid("This transaction speaks of one resource twice.", code="duplicate")
            seen.update(references)

    def _target(self, text: str) -> int:
        type_, _, query = text.partition("?")
        rid = single(self._session, self._store, self._scope, criteria(self._store, self._scope, type_, query))
        if rid is None:
            raise PreconditionFailed("A conditional reference matches nothing.", code="not-found")
        return rid

    def _validate(self, item: Item) -> tuple[Validated, bytes]:
        where = f"Bundle.entry[{item.index}].resource"
        with naming(item.index):
            if item.request.method == "PATCH":
                self._patched[item.index] = self._patch(item)
                return self._patched[item.index][:2]
            # Compact first: all that follows reads every byte again.
            body = self._rewrite(compact_json(item.entry.resource))
            validated = validate(body, type_=item.request.type, path=where, within=True)
        return validated, body

    def _patch(self, item: Item) -> Patched:
        request, change = item.request, entry_patch(item.entry.resource, self._rewrite)
        id_, scope = self._ids[item.index], acting(self._scope, "patch")
        return patched(self._store, scope, self._current, request.type, id_, change, request.if_match)

    def _change(self, item: Item) -> tuple[Change | None, Written]:
        store, request, id_ = self._store, item.request, self._ids[item.index]
        validated, body = self._validated[item.index]
        if request.method == "PATCH":
            return patched_version(store, acting(self._scope, "patch"), self._current, self._patched[item.index], self._label)
        if request.method == "PUT":
            return self._update(item, validated, body)
        if item.index in self._matched:
            stored = visible(store, acting(self._scope, "search"), self._matched[item.index])
            return None, Written(stored, created=False, changed=False)
        return first_version(store, self._creating, validated, body, id_, self._label)

    def _remove(self, item: Item) -> tuple[list[Change], Written]:
        request, scope = item.request, acting(self._scope, "delete")
        if item.condition is not None:
            return conditional_removal(self._store, scope, self._session, request.type, self._deleted[item.index], request.if_match)
        change, written = removal(self._store, scope, self._current, request.type, item.id, request.if_match)
        return [change] if change else [], written

    def _update(self, item: Item, validated: Validated, body: bytes) -> tuple[Change | None, Written]:
        store, request, scope, label = self._store, item.request, acting(self._scope, "update"), self._label
        if item.condition is not None:
            match = self._ids[item.index] if item.index in self._matched else ""
            before = Preconditions(request.if_match, request.create_only)
            return matched_version(store, scope, self._current, match, item.id, validated, body, before, label)
        require_whole(validated.resource, request.id)
        taken = there_already if request.create_only else None
        return next_version(store, scope, self._current, request.id, validated, body, request.if_match, label, taken=taken)

    def _verify(self, tx: Tx) -> None:
        """See, under lock, that every condition still finds what it found."""
        conditional = [(item, item.condition) for item in self._items if item.condition is not None]
        lock(tx, [lock_key(condition) for _, condition in conditional])
        for item, condition in conditional:
            with naming(item.index):
                if item.index in self._deleted:
                    same = to_delete(tx, self._store, self._scope, condition) == self._deleted[item.index]
                else:
                    found = self._matched.get(item.index)
                    same = single(tx, self._store, self._scope, condition) == (found.rid if found else None)
            if not same:
                raise Stale


def refuse_doubles(items: Sequence[Item]) -> None:
    """Refuse a transaction that speaks of one resource twice."""
    seen: set[object] = set()
    for item in items:
        marks: list[object] = [item.reference, *([item.entry.full_url] if item.entry.full_url else [])]
        marks += [lock_key(item.condition)] if item.condition is not None else []
        with naming(item.index):
            if any(mark in seen for mark in marks):
                raise Invalid("This transaction speaks of one resource twice.", code="duplicate")
        seen.update(marks)
