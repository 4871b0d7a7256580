"""What the pages ask of the lineage database: where a row came from, whom rows concern, what was left out."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from chartloop.kernel.db import Session
from omop_bridge.lineage import Reference, excluded_counts, person_source, rows_of


class Origin(NamedTuple):
    """The element that a row came from: "Observation/o1" in the version that was read, and its path."""

    reference: str
    version: int
    element: str


class Descendant(NamedTuple):
    """A row that came from a resource, and the element behind it."""

    table: str
    row: int
    element: str


class Exclusion(NamedTuple):
    """How many resources or elements of a type gave no row, and why."""

    type: str
    reason: str
    excluded: int


def origins(session: Session, table: str, row_id: int) -> list[Origin]:
    """The elements that one row was written from; none for what is derived from other rows."""
    sql = "SELECT type, id, version, key FROM omop_row WHERE cdm_table = ? AND row_id = ? AND live = 1 ORDER BY type, id, key"
    return [Origin(f"{type_}/{id_}", int(version), str(key)) for type_, id_, version, key in session.all(sql, (table, row_id))]


def descendants(session: Session, type_: str, id_: str) -> tuple[list[Descendant], tuple[int, ...]]:
    """The rows that one resource gave, and the persons whom they concern."""
    reference = Reference(type_, id_)
    found = [known for known in rows_of(session, [reference])[reference] if known.live]
    persons = {known.person_id for known in found if known.person_id is not None}
    return sorted(Descendant(known.table, known.row_id, known.key) for known in found), tuple(sorted(persons))


def patients(session: Session, persons: Collection[int]) -> tuple[str, ...]:
    """The Patients behind persons, for the audit log alone."""
    found = person_source(session, sorted(set(persons)))
    return tuple(sorted({f"{source.type}/{source.id}" for source in found.values()}))


def exclusions(session: Session) -> list[Exclusion]:
    """What is left out of the database now, the most frequent first."""
    found = [Exclusion(type_, reason, count) for type_, reasons in excluded_counts(session).items() for reason, count in reasons.items()]
    return sorted(found, key=lambda each: (-each.excluded, each.type, each.reason))
