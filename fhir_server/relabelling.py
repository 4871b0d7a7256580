"""A label that is new on a resource goes on to everything that was made from it, however long ago, in the same transaction.

Who inherited from whom is kept in the reference index, under a number that is no search parameter's; a row of it is never taken out,
because old versions stay readable. A resource that inherits now gets a new version with the same body, so that whoever follows the store
hears of it; of one that inherited once, only the versions that did are closed.
Spec: https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from chartloop.kernel.access.rows import EVERYTHING
from chartloop.kernel.db import Session
from chartloop.kernel.vault.vault import Destroyed
from fhir_server import rows
from fhir_server.hashing import value_hash
from fhir_server.indexing.rows import INHERITS
from fhir_server.preparing import inherited, labelling, new_version
from fhir_server.rows import Row
from fhir_server.store import Store
from fhir_server.writing import Batch, Change, Closed

_AT_ONCE = 1_000


def with_heirs(store: Store, batch: Batch) -> Batch:
    """Add to what is to be written what must be labelled with it; most writes label nothing anew and are left as they are."""
    fresh = newly_labelled(batch)
    if not fresh:
        return batch
    with store.db.read() as session:
        spread = _Spread(store, session, {each.reference: each for each in batch.changes})
        spread.over(fresh)
        heirs = spread.heirs()
    if not heirs and not spread.closed:
        return batch
    targets = [*(batch.targets or _targets(batch.changes)), *_targets(heirs)]
    return replace(batch, changes=[*spread.written.values(), *heirs], targets=targets, closed=tuple(spread.closed))


def newly_labelled(batch: Batch) -> list[tuple[str, frozenset[str]]]:
    """List what may have heirs and gets labels that it had not."""
    fresh = ((each.reference, each.attributes.labels - each.old_labels) for each in batch.changes if not each.assigned)
    return [(reference, labels) for reference, labels in fresh if labels]


def _targets(changes: Iterable[Change]) -> list[str]:
    return [f"{change.reference}/_history/{change.version}" for change in changes]


@dataclass(slots=True)
class _Spread:
    """What a label has reached so far.

    Attributes:
        written: What is being written anyhow, by reference.
        labels: All labels of each heir beside it.
        rows: The heirs as they are stored.
        closed: Labels for versions that are not the current ones.
    """

    store: Store
    session: Session
    written: dict[str, Change]
    labels: dict[str, frozenset[str]] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    closed: set[Closed] = field(default_factory=set)

    def over(self, fresh: Sequence[tuple[str, frozenset[str]]]) -> None:
        """Follow labels from heir to heir; each is taken again only for a label that it has not got yet."""
        waiting = list(fresh)
        while waiting:
            reference, labels = waiting.pop()
            waiting += self._beside(reference, labels)
            for row in self._heirs(reference):
                if row.deleted or reference not in self._inherited(row):
                    self.closed.update(Closed(row.rid, version, label) for version in self._versions(row, reference) for label in labels)
                elif row.reference not in self.written:
                    known = self.labels.get(row.reference, row.labels)
                    if added := labels - known:
                        self.rows[row.reference], self.labels[row.reference] = row, known | added
                        waiting.append((row.reference, added))

    def heirs(self) -> list[Change]:
        """The next version of each heir: the same body under more labels."""
        own, made = labelling(self.store, self.session), []
        for reference, row in self.rows.items():
            body, labels = self._body(row), self.labels[reference]

            def label(type_: str, resource: Mapping[str, Any], labels: frozenset[str] = labels) -> frozenset[str]:
                return own(type_, resource) | labels

            prepared = new_version(self.store, row.type, row.id, msgspec.json.decode(body), body, row, label, assigned=False)
            made += [prepared[0]] if prepared else []
        return made

    def _beside(self, reference: str, labels: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
        """Label what is being written in the same batch."""
        found = []
        for heir, change in self.written.items():
            added = labels - change.attributes.labels
            if added and reference in change.inherited:
                self.written[heir] = change._replace(attributes=replace(change.attributes, labels=change.attributes.labels | added))
                found.append((heir, added))
        return found

    def _heirs(self, reference: str) -> Iterator[Row]:
        sql = "SELECT DISTINCT rid FROM idx_reference WHERE param = ? AND value = ?"
        found = [int(row[0]) for row in self.session.all(sql, (INHERITS, value_hash(reference)))]
        for start in range(0, len(found), _AT_ONCE):
            yield from rows.by_rids(self.session, found[start : start + _AT_ONCE]).values()

    def _versions(self, row: Row, reference: str) -> Iterator[int]:
        """The versions that were made from a resource."""
        for version in range(1, row.version + 1):
            old = rows.at_version(self.session, row.type, row.id, version, EVERYTHING)
            if old is not None and not old.deleted and reference in self._inherited(old):
                yield version

    def _inherited(self, row: Row) -> frozenset[str]:
        try:
            parsed: Mapping[str, Any] = msgspec.json.decode(self._body(row))
        except Destroyed:
            return frozenset()  # nobody reads this version again
        return inherited(self.store, row.type, parsed)

    def _body(self, row: Row) -> bytes:
        return self.store.codec.unpack(row.codec, row.dict_id, row.packed, row.place)
