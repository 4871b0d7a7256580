"""The lineage: which element of which resource a row came from, and what the bridge knows of each resource.

It is the only place where a row meets a resource; it lies in a database of its own, with credentials of its own (f2o-023, f2o-024).
Row ids come from sequences, fit 32 bits and belong to their element for ever: a row that goes and comes back has its old id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from chartloop.kernel.db import OneRow, Session, Tx
from chartloop.kernel.errors import Unavailable
from omop_bridge.database import LINEAGE

LARGEST_ID: Final = 2**31 - 1
_AT_ONCE: Final = 500
_TYPE, _ID = String(64), String(64)

OMOP_ROW = Table(
    "omop_row",
    LINEAGE,
    Column("type", _TYPE, nullable=False),
    Column("id", _ID, nullable=False),
    Column("key", String(128), nullable=False),
    Column("cdm_table", String(64), nullable=False),
    Column("row_id", Integer, nullable=False),
    Column("person_id", Integer),
    Column("version", Integer, nullable=False),
    Column("live", Integer, nullable=False),
    PrimaryKeyConstraint("type", "id", "key", "cdm_table"),
    Index("omop_row_by_row", "cdm_table", "row_id"),
)
"""Element to row; `live` is 1 while the row is in the CDM, `version` the resource's version that it was written from."""

OMOP_RESOURCE = Table(
    "omop_resource",
    LINEAGE,
    Column("type", _TYPE, nullable=False),
    Column("id", _ID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("facts", Text, nullable=False),
    PrimaryKeyConstraint("type", "id"),
)
"""Every resource that was read, and what other resources' rows need to know of it."""

OMOP_DEPENDENCY = Table(
    "omop_dependency",
    LINEAGE,
    Column("on_type", _TYPE, nullable=False),
    Column("on_id", _ID, nullable=False),
    Column("type", _TYPE, nullable=False),
    Column("id", _ID, nullable=False),
    PrimaryKeyConstraint("on_type", "on_id", "type", "id"),
    Index("omop_dependency_of", "type", "id"),
)
"""Whose rows change when another resource does."""

OMOP_EXCLUDED = Table(
    "omop_excluded",
    LINEAGE,
    Column("type", _TYPE, nullable=False),
    Column("id", _ID, nullable=False),
    Column("key", String(128), nullable=False),
    Column("reason", String(64), nullable=False),
    PrimaryKeyConstraint("type", "id", "key"),
)
"""What gives no row, and why; an empty key is the whole resource."""

OMOP_SEQUENCE = Table("omop_sequence", LINEAGE, Column("cdm_table", String(64), primary_key=True), Column("last", BigInteger, nullable=False))

OMOP_RUN = Table(
    "omop_run",
    LINEAGE,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Column("watermark", BigInteger),
    Column("resources", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("vocabulary", String(64), nullable=False),
    Column("software", String(64), nullable=False),
    Column("counts", Text, nullable=False),
)
"""Each rebuild, sync and following process: what it worked with and what came of it (f2o-040, f2o-062, f2o-102)."""


class Reference(NamedTuple):
    """A resource."""

    type: str
    id: str


class Known(NamedTuple):
    """A row that an element has, or had."""

    key: str
    table: str
    row_id: int
    person_id: int | None
    version: int
    live: bool


class Kept(NamedTuple):
    """What is known of one resource after a pass."""

    reference: Reference
    version: int
    facts: str
    depends: frozenset[Reference]
    excluded: tuple[tuple[str, str], ...]
    rows: tuple[Known, ...]


def parts(references: Iterable[Reference]) -> Iterator[tuple[str, list[str]]]:
    """References by type, in parts that fit one statement."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for reference in dict.fromkeys(references):
        by_type[reference.type].append(reference.id)
    for type_, ids in by_type.items():
        for start in range(0, len(ids), _AT_ONCE):
            yield type_, ids[start : start + _AT_ONCE]


def marks(values: Sequence[object]) -> str:
    """As many placeholders as values."""
    return ", ".join("?" * len(values))


def rows_of(session: Session, references: Iterable[Reference]) -> dict[Reference, list[Known]]:
    """Every row that these resources have or ever had."""
    found: dict[Reference, list[Known]] = defaultdict(list)
    for type_, ids in parts(references):
        sql = f"SELECT id, key, cdm_table, row_id, person_id, version, live FROM omop_row WHERE type = ? AND id IN ({marks(ids)})"
        for id_, key, table, row_id, person, version, live in session.all(sql, (type_, *ids)):
            found[Reference(type_, id_)].append(Known(key, table, row_id, person, version, bool(live)))
    return found


def version_of(lineage: OneRow, reference: Reference) -> int:
    """The version of a resource that was read last, 0 for one that never was."""
    row = lineage.one("SELECT version FROM omop_resource WHERE type = ? AND id = ?", reference)
    return 0 if row is None else int(row[0])


def facts_of(session: Session, references: Iterable[Reference]) -> dict[Reference, str]:
    """What is known of resources; those that are unknown are missing."""
    found: dict[Reference, str] = {}
    for type_, ids in parts(references):
        sql = f"SELECT id, facts FROM omop_resource WHERE type = ? AND id IN ({marks(ids)})"
        found |= {Reference(type_, id_): facts for id_, facts in session.all(sql, (type_, *ids))}
    return found


def dependents_of(session: Session, references: Iterable[Reference]) -> set[Reference]:
    """Resources whose rows depend on these."""
    found: set[Reference] = set()
    for type_, ids in parts(references):
        sql = f"SELECT type, id FROM omop_dependency WHERE on_type = ? AND on_id IN ({marks(ids)})"
        found |= {Reference(*row) for row in session.all(sql, (type_, *ids))}
    return found


def allocate(tx: Tx, table: str, count: int) -> int:
    """Take so many new row ids of a table; return the first.

    Raises:
        Unavailable: The CDM's 32 bits are used up.
    """
    row = tx.one(
        "INSERT INTO omop_sequence (cdm_table, last) VALUES (?, ?)"
        " ON CONFLICT (cdm_table) DO UPDATE SET last = omop_sequence.last + excluded.last RETURNING last",
        (table, count),
    )
    last = int(row[0]) if row else 0
    if last > LARGEST_ID:
        raise Unavailable(f"The row ids of {table} are used up: CDM 5.4 has 32 bits.")
    return last - count + 1


def reserve(tx: Tx, rows: Sequence[tuple[Reference, Known]]) -> None:
    """Give elements their rows, before any of these is written."""
    tx.many(
        "INSERT INTO omop_row (type, id, key, cdm_table, row_id, person_id, version, live) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(*reference, row.key, row.table, row.row_id, row.person_id, row.version, int(row.live)) for reference, row in rows],
    )


def forget(tx: Tx, references: Sequence[Reference]) -> None:
    """Forget what is known of resources, but not which rows their elements have."""
    for table in ("omop_resource", "omop_dependency", "omop_excluded"):
        tx.many(f"DELETE FROM {table} WHERE type = ? AND id = ?", references)


def update(tx: Tx, changed: Sequence[tuple[Reference, Known]]) -> None:
    """Write down what became of rows that elements have already."""
    tx.many(
        "UPDATE omop_row SET person_id = ?, version = ?, live = ? WHERE type = ? AND id = ? AND key = ? AND cdm_table = ?",
        [(row.person_id, row.version, int(row.live), *reference, row.key, row.table) for reference, row in changed],
    )


def write_down(tx: Tx, kept: Sequence[Kept]) -> None:
    """Write resources of which nothing is written yet."""
    tx.many(
        "INSERT INTO omop_resource (type, id, version, facts) VALUES (?, ?, ?, ?)",
        [(*each.reference, each.version, each.facts) for each in kept],
    )
    tx.many(
        "INSERT INTO omop_dependency (on_type, on_id, type, id) VALUES (?, ?, ?, ?)",
        [(*on, *each.reference) for each in kept for on in sorted(each.depends)],
    )
    tx.many(
        "INSERT INTO omop_excluded (type, id, key, reason) VALUES (?, ?, ?, ?)",
        [(*each.reference, *why) for each in kept for why in each.excluded],
    )


def person_source(session: Session, persons: Sequence[int]) -> dict[int, Reference]:
    """The Patients that persons come from."""
    found: dict[int, Reference] = {}
    for start in range(0, len(persons), _AT_ONCE):
        part = persons[start : start + _AT_ONCE]
        sql = f"SELECT row_id, type, id FROM omop_row WHERE cdm_table = 'person' AND row_id IN ({marks(part)})"
        found |= {row_id: Reference(type_, id_) for row_id, type_, id_ in session.all(sql, part)}
    return found


def excluded_counts(session: Session) -> dict[str, dict[str, int]]:
    """How many resources and elements are left out, by type and reason."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for type_, reason, count in session.all("SELECT type, reason, count(*) FROM omop_excluded GROUP BY type, reason ORDER BY type, reason"):
        counts[type_][reason] = int(count)
    return dict(counts)
