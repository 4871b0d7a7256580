"""How much of a CDM database has its standard concept, which codes lack one, and which references lead nowhere.

Spec: https://ohdsi.github.io/DataQualityDashboard/ (sourceConceptRecordCompleteness, isForeignKey)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from chartloop.kernel.db import Session
from omop_bridge.code_shapes import likely_vocabulary
from omop_bridge.schema import TABLES, Table

_SUFFIX = "_concept_id"
_SOURCE = "_source_value"


class Filled(NamedTuple):
    """A concept field beside its source value: `coded` rows have either, `mapped` ones a concept that is not 0."""

    field: str
    coded: int
    mapped: int

    @property
    def share(self) -> float | None:
        """Mapped of coded, from 0 to 1; None where nothing is coded."""
        return self.mapped / self.coded if self.coded else None

    def shown(self) -> dict[str, Any]:
        """The same for programs."""
        return {**self._asdict(), "share": self.share}


class TableCoverage(NamedTuple):
    """One table; its first field is the one that says what the row is about."""

    table: str
    rows: int
    fields: tuple[Filled, ...]


class Unmapped(NamedTuple):
    """A source code without a concept; `vocabulary` is what the code looks like, "" when nothing can be said."""

    table: str
    field: str
    code: str
    vocabulary: str
    rows: int


class Dangling(NamedTuple):
    """A reference whose target is not there, in so many rows."""

    table: str
    field: str
    target: str
    rows: int


def clinical_tables() -> tuple[Table, ...]:
    """The tables of the CDM that hold data, without the vocabularies and the cohorts."""
    return tuple(table for table in TABLES.values() if table.part == "CDM")


def concept_fields(table: Table) -> tuple[str, ...]:
    """The concept fields of a table that have a source value beside them, in the table's order."""
    names = (field.name for field in table.fields if field.name.endswith(_SUFFIX))
    return tuple(name for name in names if _source_of(name) in table.by_name)


def _source_of(field: str) -> str:
    return field.removesuffix(_SUFFIX) + _SOURCE


def row_counts(session: Session) -> dict[str, int]:
    """How many rows each table has."""
    return {name: _number(session, f"SELECT count(*) FROM {name}") for name in TABLES}


def coverage(session: Session) -> tuple[TableCoverage, ...]:
    """Measure every clinical table in one scan of each."""
    return tuple(_table_coverage(session, table) for table in clinical_tables())


def _table_coverage(session: Session, table: Table) -> TableCoverage:
    fields = concept_fields(table)
    sums = "".join(
        f", sum(CASE WHEN {_source_of(field)} IS NOT NULL OR {field} <> 0 THEN 1 ELSE 0 END), sum(CASE WHEN {field} <> 0 THEN 1 ELSE 0 END)" for field in fields
    )
    rows, *numbers = session.one(f"SELECT count(*){sums} FROM {table.name}") or (0,)
    counted = [int(number or 0) for number in numbers]
    return TableCoverage(table.name, int(rows), tuple(Filled(field, *counted[2 * n : 2 * n + 2]) for n, field in enumerate(fields)))


def unmapped(session: Session, limit: int = 20) -> list[Unmapped]:
    """The codes without a concept, the most frequent first."""
    found: list[Unmapped] = []
    for table in clinical_tables():
        for field in concept_fields(table):
            source = _source_of(field)
            sql = (
                f"SELECT {source}, count(*) FROM {table.name} WHERE {source} IS NOT NULL AND ({field} IS NULL OR {field} = 0)"
                f" GROUP BY {source} ORDER BY count(*) DESC, {source} LIMIT ?"
            )
            found += [Unmapped(table.name, field, str(code), likely_vocabulary(field, str(code)), int(rows)) for code, rows in session.all(sql, (limit,))]
    return sorted(found, key=lambda each: (-each.rows, each.table, each.code))[:limit]


def dangling(session: Session) -> list[Dangling]:
    """The references that lead nowhere: this database has them without constraints."""
    found = []
    for table in clinical_tables():
        if session.one(f"SELECT 1 FROM {table.name} LIMIT 1") is None:
            continue
        for field in table.fields:
            if field.foreign_table is None:
                continue
            missing = f"NOT EXISTS (SELECT 1 FROM {field.foreign_table} t WHERE t.{field.foreign_field} = s.{field.name})"
            rows = _number(session, f"SELECT count(*) FROM {table.name} s WHERE s.{field.name} IS NOT NULL AND {missing}")
            if rows:
                found.append(Dangling(table.name, field.name, f"{field.foreign_table}.{field.foreign_field}", rows))
    return found


def _number(session: Session, sql: str) -> int:
    row = session.one(sql)
    return int(row[0]) if row else 0
