"""Rebuild: everything anew from the store, in one transaction of each database; readers see the old rows until the new ones are there.

Row ids come from the lineage, so a row keeps its id over every rebuild. The lineage becomes durable first, then the CDM, then the mark
that the run is finished: a crash between the first two leaves a run without that mark, and nothing follows until it was repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.db import Tx
from fhir_server.repository import Repository
from omop_bridge.chart import seen
from omop_bridge.database import vocabulary_release
from omop_bridge.deriving import Seen
from omop_bridge.lineage import Known, Reference, reserve, update, write_down
from omop_bridge.mapping.resource import FOLLOWED
from omop_bridge.periods import TABLE as PERIODS
from omop_bridge.periods import recompute
from omop_bridge.runs import REBUILD, Run, advance, begin, finish, latest
from omop_bridge.shape import WRITTEN
from omop_bridge.writing import Writer, insert

_AT_ONCE: Final = 500

Source = Callable[[], Iterable[Seen]]
"""Every resource of the followed types, type by type in the order of FOLLOWED."""


def store_source(repository: Repository, subject: Subject) -> Source:
    """What the omop engine may see of the store: one stream, under one audit record."""
    return lambda: map(seen, repository.stream(Scope(subject, "search", "omop-rebuild"), FOLLOWED))


def rebuild(writer: Writer, source: Source) -> Run:
    """Empty every table that the mapping fills and fill it from the source."""
    with writer.alone():

        def both(cdm: Tx) -> int:
            return writer.lineage.write(lambda lineage: _rebuild(writer, cdm, lineage, source))

        number = writer.cdm.write(both)
        writer.lineage.write(lambda tx: _finished(tx, number))
    with writer.lineage.read() as session:
        run = latest(session, REBUILD)
    if run is None:
        raise LookupError("The run that was just written is not there.")
    return run


def _finished(tx: Tx, number: int) -> None:
    finish(tx, number)
    # An older rebuild that was interrupted is made good by this one.
    tx.run("UPDATE omop_run SET finished = ? WHERE kind = ? AND finished IS NULL AND number < ?", (clock.now_us(), REBUILD, number))


def _rebuild(writer: Writer, cdm: Tx, lineage: Tx, source: Source) -> int:
    for table in WRITTEN:
        cdm.run(f"DELETE FROM {table}")
    for table in ("omop_resource", "omop_dependency", "omop_excluded"):
        lineage.run(f"DELETE FROM {table}")
    started = clock.now_us()
    number = begin(lineage, REBUILD, writer.release)
    resources, rows = 0, 0
    for part in _parts(source()):
        resources += len(part)
        rows += _write(writer, cdm, lineage, part)
    lineage.run(
        "UPDATE omop_row SET live = 0 WHERE live = 1 AND (cdm_table = ? OR NOT EXISTS"
        " (SELECT 1 FROM omop_resource r WHERE r.type = omop_row.type AND r.id = omop_row.id))",
        (PERIODS,),
    )
    recompute(cdm, lineage, [int(row[0]) for row in cdm.all("SELECT person_id FROM person")])
    _date(cdm)
    advance(lineage, number, resources, rows, started)
    return number


def _parts(resources: Iterable[Seen]) -> Iterator[list[Seen]]:
    for _, of_type in groupby(resources, key=lambda each: each.reference.type):
        part: list[Seen] = []
        for each in of_type:
            part.append(each)
            if len(part) == _AT_ONCE:
                yield part
                part = []
        if part:
            yield part


def _write(writer: Writer, cdm: Tx, lineage: Tx, part: Sequence[Seen]) -> int:
    derived = writer.deriver.derive(lineage, part, {})
    fresh = {(reference, row.key, row.table) for reference, row in derived.new}
    now = {(kept.reference, row.key, row.table): row for kept in derived.kept for row in kept.rows}
    reserve(lineage, [(reference, now[reference, key, table]) for reference, key, table in sorted(fresh)])
    changed: list[tuple[Reference, Known]] = []
    for reference, rows in derived.known.items():
        for old in rows:
            if (reference, old.key, old.table) not in fresh and old.table != PERIODS:
                new = now.get((reference, old.key, old.table), old._replace(live=False))
                if new != old:
                    changed.append((reference, new))
    update(lineage, changed)
    write_down(lineage, derived.kept)
    insert(cdm, derived.rows)
    return len(derived.rows)


def _date(cdm: Tx) -> None:
    """What the researcher is told of the source: as of today, with this release of the vocabularies (f2o-040)."""
    today = clock.iso(clock.now_us())[:10]
    release = (vocabulary_release(cdm) or "none")[:20]
    cdm.run("UPDATE cdm_source SET source_release_date = ?, cdm_release_date = ?, vocabulary_version = ?", (today, today, release))
