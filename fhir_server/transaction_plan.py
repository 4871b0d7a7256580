"""Prepare a transaction outside the lock: ids, conditional matches, references, labels, and one change per entry.

Spec: https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

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
from fhir_server.preparing import lookup, require_whole
from fhir_server.references import conditional_references_in_bytes, link_map, rewriter
from fhir_server.search.tree import Query
from fhir_server.store import LabelsOf, Store, Written, acting
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
        self._matched: dict[int, int] = {}
        self._deleted: dict[int, list[int]] = {}
        self._patched: dict[int, Patched] = {}
        self._ids = {item.index: item.id for item in items}
        self._rewrite = rewriter(self._resolve())
        self._refuse_same()
        self._validated = {item.index: self._validate(item) for item in items if item.entry.resource and item.request.method != "DELETE"}
        self._labels = _BundleLabels(store, lookup(store, session), {
            self._reference(item): self._validated[item.index]
            for item in items
            if item.index in self._validated and self._writes(item)
        }, frozenset(item.reference for item in items if item.fresh and item.index not in self._matched))  # fmt: skip

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
        assigned: dict[str, str] = {}
        for item in self._items:
            if item.condition is not None:
                with naming(item.index):
                    self._match(item, item.condition)
            if item.entry.full_url:
                assigned[item.entry.full_url] = self._reference(item)
        links = link_map(assigned)
        for item in self._items:
            if _SEARCH.search(item.entry.resource):
                with naming(item.index):
                    for text in conditional_references_in_bytes(item.entry.resource):
                        if text not in links:
                            links[text] = self._target(text)
        return links

    def _match(self, item: Item, condition: Query) -> None:
        if item.request.method == "DELETE":
            found = self._deleted[item.index] = to_delete(self._session, self._store, self._scope, condition)
            if len(found) == 1:
                self._ids[item.index] = rows.by_rids(self._session, found)[found[0]].id
            return
        rid = single(self._session, self._store, self._scope, condition)
        if rid is not None:
            self._matched[item.index] = rid
            self._ids[item.index] = rows.by_rids(self._session, [rid])[rid].id
        elif item.request.method == "PATCH":
            raise NotFound

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

    def _target(self, text: str) -> str:
        type_, _, query = text.partition("?")
        rid = single(self._session, self._store, self._scope, criteria(self._store, self._scope, type_, query))
        if rid is None:
            raise PreconditionFailed("A conditional reference matches nothing.", code="not-found")
        return rows.by_rids(self._session, [rid])[rid].reference

    def _validate(self, item: Item) -> tuple[Validated, bytes]:
        where = f"Bundle.entry[{item.index}].resource"
        with naming(item.index):
            if item.request.method == "PATCH":
                self._patched[item.index] = self._patch(item)
                return self._patched[item.index][:2]
            # Compact first: all that follows reads every byte again.
            body = self._rewrite(compact_json(item.entry.resource))
            validated = validate(body, type_=item.request.type, path=where)
        return validated, body

    def _patch(self, item: Item) -> Patched:
        request, change = item.request, entry_patch(item.entry.resource, self._rewrite)
        id_, scope = self._ids[item.index], acting(self._scope, "patch")
        return patched(self._store, scope, self._session, request.type, id_, change, request.if_match)

    def _change(self, item: Item) -> tuple[Change | None, Written]:
        store, request, session, id_ = self._store, item.request, self._session, self._ids[item.index]
        validated, body = self._validated[item.index]
        if request.method == "PATCH":
            return patched_version(store, acting(self._scope, "patch"), session, self._patched[item.index], self._labels.label)
        if request.method == "PUT":
            return self._update(item, validated, body)
        if item.index in self._matched:
            rid = self._matched[item.index]
            stored = visible(store, acting(self._scope, "search"), rows.by_rids(session, [rid])[rid])
            return None, Written(stored, created=False, changed=False)
        return first_version(store, self._creating, validated, body, id_, self._labels.label)

    def _remove(self, item: Item) -> tuple[list[Change], Written]:
        request, scope = item.request, acting(self._scope, "delete")
        if item.condition is not None:
            return conditional_removal(self._store, scope, self._session, request.type, self._deleted[item.index], request.if_match)
        change, written = removal(self._store, scope, self._session, request.type, item.id, request.if_match)
        return [change] if change else [], written

    def _update(self, item: Item, validated: Validated, body: bytes) -> tuple[Change | None, Written]:
        store, request, scope, label = self._store, item.request, acting(self._scope, "update"), self._labels.label
        if item.condition is not None:
            match = self._ids[item.index] if item.index in self._matched else ""
            before = Preconditions(request.if_match, request.create_only)
            return matched_version(store, scope, self._session, match, item.id, validated, body, before, label)
        require_whole(validated.resource, request.id)
        taken = there_already if request.create_only else None
        return next_version(store, scope, self._session, request.id, validated, body, request.if_match, label, taken=taken)

    def _verify(self, tx: Tx) -> None:
        """See, under lock, that every condition still finds what it found."""
        conditional = [(item, item.condition) for item in self._items if item.condition is not None]
        lock(tx, [lock_key(condition) for _, condition in conditional])
        for item, condition in conditional:
            with naming(item.index):
                if item.index in self._deleted:
                    same = to_delete(tx, self._store, self._scope, condition) == self._deleted[item.index]
                else:
                    same = single(tx, self._store, self._scope, condition) == self._matched.get(item.index)
            if not same:
                raise Stale


class _BundleLabels:
    """Labels of what is stored, and of what is being stored beside it."""

    def __init__(
        self, store: Store, stored: LabelsOf, beside: Mapping[str, tuple[Validated, bytes]], fresh: Container[str]
    ) -> None:
        """Take what is stored, what is beside it, and which references are of ids made just now: nothing is stored there."""
        self._store = store
        self._stored = stored
        self._beside = beside
        self._fresh = fresh
        self._known: dict[str, frozenset[str]] = {}

    def label(self, type_: str, resource: Mapping[str, Any]) -> frozenset[str]:
        """Labels of a resource of the bundle."""
        return self.of(f"{type_}/{resource['id']}")

    def of(self, reference: str) -> frozenset[str]:
        """Labels of one resource; a circle of references ends where it began."""
        reference = reference.removeprefix(self._store.base + "/")
        if reference not in self._known:
            self._known[reference] = frozenset()
            found: frozenset[str] = frozenset() if reference in self._fresh else self._stored(reference)
            if reference in self._beside:
                resource: Mapping[str, Any] = self._beside[reference][0].resource
                found |= self._store.labeller.labels(reference.partition("/")[0], resource, self.of)
            self._known[reference] = found
        return self._known[reference]


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
