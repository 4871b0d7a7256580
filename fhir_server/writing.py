"""The write: prepared outside the lock, then one short transaction for rows, index, labels, audit and events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from chartloop.kernel.access.labels import LABELS
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Tx
from chartloop.kernel.errors import Issue
from chartloop.kernel.outbox import Told
from fhir_server.auditing import record
from fhir_server.codec import Packed
from fhir_server.defining import Definition
from fhir_server.granting.belonging import with_patients
from fhir_server.granting.consents import Compiled
from fhir_server.granting.deriving import CONSENT, CONSENT_CHANGED, keep
from fhir_server.hashing import lane_of, rid_of
from fhir_server.indexing.rows import IndexRows, replace_rows
from fhir_server.rows import CHUNK, DELETE, labels_by_reference
from fhir_server.store import Also, Store
from fhir_server.type_ids import TYPE_IDS

_INSERT_RESOURCE: Final = (
    "INSERT INTO resource (rid, type_id, fhir_id, version, updated, deleted, rank, patient, owner, insurer) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Stale(Exception):
    """What the write was prepared on has changed since."""


class Change(NamedTuple):
    """One new version, ready to be stored."""

    type: str
    id: str
    rid: int
    """0: a new resource."""
    version: int
    updated: int
    method: int
    packed: Packed
    attributes: RowAttributes
    rows: IndexRows
    old_rows: IndexRows
    old_labels: frozenset[str]
    assigned: bool = True
    """The server made the id, so that no other row can have it."""
    inherited: frozenset[str] = frozenset()
    """References that handed their labels on."""
    defines: tuple[Definition, ...] = ()
    """What a SearchParameter says is searched."""
    grants: Compiled | None = None
    """Who may see what because of it; None: it says nothing of that."""
    speaks_of: tuple[str, ...] = ()
    """References whose patient is its patient too, where it names none itself."""

    @property
    def reference(self) -> str:
        """Type/id."""
        return f"{self.type}/{self.id}"

    @property
    def notes(self) -> tuple[Issue, ...]:
        """What of its grants could not be counted."""
        return self.grants.warnings if self.grants else ()


class Closed(NamedTuple):
    """A label on a version that was stored long ago."""

    rid: int
    version: int
    label: str


class Part(NamedTuple):
    """A part of a batch that is recorded as a request of its own."""

    scope: Scope
    targets: Sequence[str]
    changes: Sequence[Change]


@dataclass(slots=True)
class Batch:
    """Changes that are stored together, what must hold before and after, and what they answer."""

    changes: Sequence[Change]
    result: Any
    verify: Callable[[Tx], None] | None = None
    targets: Sequence[str] = field(default_factory=tuple)
    closed: Sequence[Closed] = ()
    confirm: Callable[[Tx, Sequence[int]], None] | None = None
    """Asked when all rows are there, with the rid of each change."""
    parts: Sequence[Part] = ()
    """None: all of it is one request."""


def apply(store: Store, scope: Scope, tx: Tx, batch: Batch, also: Also | None) -> None:
    """Store a batch, with whatever else belongs into its transaction.

    Raises:
        Stale: Something that it was prepared on has changed.
    """
    if batch.verify is not None:
        batch.verify(tx)
    changes = with_patients(tx, batch.changes)
    _verify_versions(tx, changes)
    _verify_labels(tx, changes)
    rids = _rids(tx, changes)
    _store_resources(tx, changes, rids)
    tx.many(
        "INSERT INTO version (rid, version, updated, method, codec, dict_id, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (rid, change.version, change.updated, change.method, *change.packed)
            for change, rid in zip(changes, rids, strict=True)
        ],
    )
    _store_labels(tx, changes, rids)
    if batch.closed:
        tx.many("INSERT INTO version_label (rid, version, label) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", [(*each[:2], LABELS[each.label]) for each in batch.closed])
    replace_rows(
        tx, [(rid, change.old_rows, change.rows) for change, rid in zip(changes, rids, strict=True)]
    )
    if batch.confirm is not None:
        batch.confirm(tx, rids)
    for part in batch.parts or (Part(scope, batch.targets, changes),):
        targets = part.targets or [f"{change.reference}/_history/{change.version}" for change in part.changes]
        store.audit.change(tx, record(part.scope, targets, (change.attributes.patient for change in part.changes)))
        _keep_grants(store, part.scope, tx, part.changes)
    if changes:
        store.outbox.publish_all(tx, [_told(change) for change in changes], trace=scope.request)
    if also is not None:
        also(tx)
    # Last, because another writer of the same new word, or of the same new patient, waits from here until this transaction ends.
    words = (word for change in changes for word in change.rows.words)
    store.vocabulary.learn(tx, words, (unit for change in changes for unit in change.rows.units))
    store.codec.settle(tx, (change.packed for change in changes))


def _keep_grants(store: Store, scope: Scope, tx: Tx, changes: Sequence[Change]) -> None:
    """Let who may see what follow from what is stored now; a Consent that changed it has a record and an event of its own."""
    for change in changes:
        patients: frozenset[str] = frozenset() if change.grants is None else keep(store, scope, tx, change.reference, change.grants, change.attributes)
        if patients and change.type == CONSENT:
            said = Scope(scope.subject, "consent-changed", scope.request)
            store.audit.change(tx, record(said, (f"{change.reference}/_history/{change.version}",), (change.attributes.patient,)))
            store.outbox.publish_all(tx, [Told(CONSENT_CHANGED, patient, patient) for patient in sorted(patients)], trace=scope.request)


def _told(change: Change) -> Told:
    type_ = "ResourceDeleted" if change.method == DELETE else "ResourceUpdated" if change.version > 1 else "ResourceCreated"
    reference = change.reference
    return Told(type_, reference, change.attributes.patient or reference, change.version)


def _verify_versions(tx: Tx, changes: Sequence[Change]) -> None:
    """Take each changed row in the order of its rid, and see that its version is the one this was prepared on."""
    lock = " FOR UPDATE" if tx.dialect == "postgresql" else ""
    wanted = sorted((change.rid, change.version - 1) for change in changes if change.rid)
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        marks = ", ".join("?" * len(part))
        found = tx.all(f"SELECT rid, version FROM resource WHERE rid IN ({marks}) ORDER BY rid{lock}", [rid for rid, _ in part])
        if [tuple(row) for row in found] != part:
            raise Stale


def _verify_labels(tx: Tx, changes: Sequence[Change]) -> None:
    """See that nothing that these were made from has been labelled meanwhile."""
    references = frozenset().union(*(change.inherited for change in changes))
    if not references:
        return
    known = labels_by_reference(tx, references)
    if any(known.get(reference, frozenset()) - change.attributes.labels for change in changes for reference in change.inherited):
        raise Stale


def _rids(tx: Tx, changes: Sequence[Change]) -> list[int]:
    fresh = sum(1 for change in changes if not change.rid)
    numbers = iter(_numbers(tx, fresh) if fresh else ())
    return [change.rid or rid_of(lane_of(change.attributes.patient), next(numbers)) for change in changes]


def _numbers(tx: Tx, count: int) -> Sequence[int]:
    if tx.dialect == "postgresql":
        sequence = "nextval(pg_get_serial_sequence('rid_counter', 'n'))"
        return [int(row[0]) for row in tx.all(f"SELECT {sequence} FROM generate_series(1, ?)", (count,))]
    found = tx.all("UPDATE rid_counter SET n = n + ? RETURNING n", (count,))
    if not found:
        tx.run("INSERT INTO rid_counter (n) VALUES (?)", (count,))
    last = int(found[0][0]) if found else count
    return range(last - count + 1, last + 1)


def _store_resources(tx: Tx, changes: Sequence[Change], rids: Sequence[int]) -> None:
    inserted: list[tuple[object, ...]] = []
    chosen: list[tuple[object, ...]] = []
    updated: list[tuple[object, ...]] = []
    for change, rid in zip(changes, rids, strict=True):
        seen = change.attributes
        deleted = 1 if change.method == DELETE else 0
        values = (change.version, change.updated, deleted, change.rows.rank, seen.patient, seen.owner, seen.insurer)
        if change.rid:
            updated.append((*values, rid))
        else:
            (inserted if change.assigned else chosen).append((rid, TYPE_IDS[change.type], change.id, *values))
    if inserted:
        tx.many(_INSERT_RESOURCE, inserted)
    # Somebody else may be making a resource under an id that was chosen right now; in the order of ids, so that two who make the same ones wait and do not deadlock.
    if chosen and tx.many(f"{_INSERT_RESOURCE} ON CONFLICT (type_id, fhir_id) DO NOTHING", sorted(chosen, key=lambda row: (str(row[1]), str(row[2])))) < len(chosen):
        raise Stale
    if updated:
        tx.many(
            "UPDATE resource SET version = ?, updated = ?, deleted = ?, rank = ?, patient = ?, owner = ?, insurer = ? "
            "WHERE rid = ?",
            updated,
        )


def _store_labels(tx: Tx, changes: Sequence[Change], rids: Sequence[int]) -> None:
    """Store the labels of the version, and add the new ones to the resource; no write takes one away."""
    of_version = [
        (rid, change.version, LABELS[label])
        for change, rid in zip(changes, rids, strict=True)
        for label in change.attributes.labels
    ]
    if not of_version:
        return
    tx.many("INSERT INTO version_label (rid, version, label) VALUES (?, ?, ?)", of_version)
    added = [
        (rid, LABELS[label])
        for change, rid in zip(changes, rids, strict=True)
        for label in change.attributes.labels - change.old_labels
    ]
    if added:
        tx.many("INSERT INTO resource_label (rid, label) VALUES (?, ?)", added)
