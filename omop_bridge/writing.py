"""Writing: the rows of some resources replaced as one, in an order that heals after a crash at any point.

Two databases cannot commit together. So a pass writes in this order, alone (one pass at a time, whoever runs it):

1. ids: every new element gets its row id, in the lineage;
2. rows: in one transaction of the CDM the old rows go and the new ones come, with the observation periods of everyone touched;
3. knowledge: the lineage learns what the resources give, on what they depend, and what is left out.

Whoever crashes before 2 leaves ids that nobody uses yet. Whoever crashes before 3 leaves a lineage that still knows the old state: the
event comes again, the same pass finds the same changes, deletes by every id that the elements ever had, and writes the same rows.
A row is never written before the lineage can name it, so none is ever orphaned.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from chartloop.kernel.db import Database, Tx
from omop_bridge.database import insert_statement
from omop_bridge.deriving import Derived, Deriver, Seen, Written
from omop_bridge.lineage import Kept, Known, Reference, dependents_of, forget, marks, reserve, update, write_down
from omop_bridge.mapping.resource import FOLLOWED
from omop_bridge.periods import recompute
from omop_bridge.runs import refuse_interrupted
from omop_bridge.shape import id_column, row_to_values
from omop_bridge.turns import one_at_a_time

Read = Callable[[Reference], Seen]
"""How a resource is read: through the door, as it is now."""

_STAGE: Final = {type_: number for number, type_ in enumerate(FOLLOWED)}


class Passed(NamedTuple):
    """What a pass did."""

    resources: int
    rows: int


class Writer:
    """The CDM and the lineage, written together."""

    def __init__(self, cdm: Database, lineage: Database, deriver: Deriver) -> None:
        """Take both databases and how resources are mapped."""
        self.cdm, self.lineage, self.deriver = cdm, lineage, deriver
        self.release = deriver.release
        self._turn = threading.Lock()

    def follow(self, references: Collection[Reference], read: Read, also: Callable[[Tx, Passed], None] = lambda _tx, _passed: None) -> Passed:
        """Bring the rows of these resources, and of those that depend on what changed, to what the resources say now.

        Args:
            references: Resources of followed types.
            read: Reads each once.
            also: More to write down with the knowledge.
        """
        with self.alone():
            refuse_interrupted(self.lineage)
            pass_ = _Pass(self.lineage, self.deriver)
            pass_.run(references, read)
            return self._write(pass_, also)

    def close(self) -> None:
        """Let go of both databases."""
        self.cdm.close()
        self.lineage.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for one's turn: among the threads of this process and among the processes that write this lineage."""
        with self._turn, one_at_a_time(self.lineage):
            yield

    def _write(self, pass_: _Pass, also: Callable[[Tx, Passed], None]) -> Passed:
        passed = Passed(len(pass_.found), len(pass_.rows))

        def rows(tx: Tx) -> None:
            persons = _replace(tx, pass_)
            self.lineage.write(lambda lineage: recompute(tx, lineage, persons))

        def knowledge(tx: Tx) -> None:
            forget(tx, list(pass_.found))
            write_down(tx, pass_.kept)
            update(tx, _changes(pass_))
            also(tx, passed)

        self.cdm.write(rows)
        self.lineage.write(knowledge)
        return passed


class _Pass:
    """What one pass has found so far."""

    def __init__(self, lineage: Database, deriver: Deriver) -> None:
        self._lineage, self._deriver = lineage, deriver
        self.found: dict[Reference, str] = {}
        self.kept: list[Kept] = []
        self.rows: list[Written] = []
        self.known: dict[Reference, list[Known]] = {}

    def run(self, references: Collection[Reference], read: Read) -> None:
        """Take resources type by type, each after those that its rows depend on, until nothing more changes."""
        waiting = {reference for reference in references if reference.type in _STAGE}
        while waiting:
            type_ = min((reference.type for reference in waiting), key=_STAGE.__getitem__)
            now = sorted(reference for reference in waiting if reference.type == type_)
            waiting = {reference for reference in waiting if reference.type != type_}
            changed = self._take([read(reference) for reference in now])
            waiting |= self._affected(changed) - self.found.keys()

    def _take(self, seen: Sequence[Seen]) -> list[Reference]:
        def work(tx: Tx) -> Derived:
            derived = self._deriver.derive(tx, seen, self.found)
            reserve(tx, derived.new)
            return derived

        derived = self._lineage.write(work)
        self.kept += derived.kept
        self.rows += derived.rows
        self.known |= derived.known
        facts = dict.fromkeys(derived.gone, "") | {kept.reference: kept.facts for kept in derived.kept}
        self.found |= facts
        return [reference for reference, fact in facts.items() if fact != derived.before.get(reference, "")]

    def _affected(self, changed: Sequence[Reference]) -> set[Reference]:
        """Everyone who depends on these; through merged Patients too, for whom their survivor speaks."""
        affected: set[Reference] = set()
        if not changed:
            return affected
        asked = set(changed)
        with self._lineage.read() as session:
            following = list(changed)
            while following:
                found = dependents_of(session, following)
                affected |= found
                following = [reference for reference in found if reference.type == "Patient" and reference not in asked]
                asked |= set(following)
        return affected


def _changes(pass_: _Pass) -> list[tuple[Reference, Known]]:
    """Rows whose person, version or life is not what the lineage says; those of a period are its own business."""
    now = {(kept.reference, row.key, row.table): row for kept in pass_.kept for row in kept.rows}
    changed = []
    for reference, rows in pass_.known.items():
        for old in rows:
            new = now.get((reference, old.key, old.table), old._replace(live=False))
            if new != old and old.table != "observation_period":
                changed.append((reference, new))
    return changed


def _replace(cdm: Tx, pass_: _Pass) -> set[int]:
    """Delete by every id that the elements ever had, and insert what they give now; return the persons touched."""
    persons = {row.person_id for row in pass_.rows if row.person_id is not None}
    gone: dict[str, set[int]] = defaultdict(set)
    for rows in pass_.known.values():
        for known in rows:
            gone[known.table].add(known.row_id)
    for table, ids in gone.items():
        if table == "observation_period":
            continue
        ordered = sorted(ids)
        for start in range(0, len(ordered), 500):
            part = ordered[start : start + 500]
            where = f"FROM {table} WHERE {id_column(table)} IN ({marks(part)})"
            if table != "care_site":
                persons |= {int(row[0]) for row in cdm.all(f"SELECT DISTINCT person_id {where}", part)}
            cdm.run(f"DELETE {where}", part)
    insert(cdm, pass_.rows)
    return persons


def insert(cdm: Tx, rows: Sequence[Written]) -> None:
    """Insert rows, table by table."""
    by_table: dict[str, list[list[object]]] = defaultdict(list)
    for row in rows:
        by_table[row.table].append(row_to_values(row.table, row.values, row.row_id, row.person_id))
    for table, values in by_table.items():
        cdm.many(insert_statement(table), values)
