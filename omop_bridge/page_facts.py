"""What a page shows, and the same as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omop_bridge.figures import Figures
from omop_bridge.origins import Origin
from omop_bridge.reading import Cell
from omop_bridge.schema import TABLES, VERSION, Table


class Shown(NamedTuple):
    """Rows with the names of their concepts; `filled` are the columns that hold anything here."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    concepts: dict[int, str]
    filled: tuple[str, ...]
    persons: tuple[int, ...]

    def records(self) -> list[dict[str, Cell]]:
        """The rows as columns to values."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def shown(columns: Sequence[str], rows: Sequence[Sequence[Cell]], concepts: Mapping[int, str]) -> Shown:
    """Gather what a page shows."""
    filled = tuple(name for place, name in enumerate(columns) if any(row[place] is not None for row in rows))
    place = columns.index("person_id") if "person_id" in columns else -1
    persons = {value for row in rows if place >= 0 and isinstance(value := row[place], int)}
    return Shown(tuple(columns), tuple(map(tuple, rows)), dict(concepts), filled, tuple(sorted(persons)))


def link_of(table: Table, column: str) -> str:
    """The table in which a value of this column names a row, "" where it names none that has a page."""
    target = table.by_name[column].foreign_table or ""
    return target if target in TABLES and TABLES[target].part == "CDM" and TABLES[target].key else ""


def figures_to_page(figures: Figures) -> dict[str, Any]:
    """What the first page shows: filled tables first, then the vocabularies, then the names of those that are empty."""
    measured = {each.table: each for each in figures.coverage}
    filled = [
        {"name": name, "rows": figures.counts[name], "fields": [field for field in measured[name].fields if field.share is not None]}
        for name in measured
        if figures.counts[name]
    ]
    others = [name for name in TABLES if name not in measured]
    return {
        "figures": figures,
        "run": figures.run.shown() if figures.run else None,
        "filled": filled,
        "vocabularies": [{"name": name, "rows": figures.counts[name]} for name in others if figures.counts[name]],
        "empty": [name for name in TABLES if not figures.counts[name]],
    }


def figures_to_json(figures: Figures) -> dict[str, Any]:
    """The same for programs."""
    measured = {each.table: each for each in figures.coverage}
    return {
        "cdm_version": VERSION,
        "vocabulary_version": figures.vocabulary,
        "run": figures.run.shown() if figures.run else None,
        "tables": [
            {
                "table": name,
                "rows": rows,
                "fields": [field.shown() for field in measured[name].fields] if name in measured else [],
            }
            for name, rows in figures.counts.items()
        ],
        "exclusions": [each._asdict() for each in figures.exclusions],
        "unmapped": [each._asdict() for each in figures.unmapped],
    }


def page_to_json(table: Table, facts: Shown, withheld: Sequence[str], following: str) -> dict[str, Any]:
    """Rows for programs."""
    return {"table": table.name, "rows": facts.records(), "concepts": facts.concepts, "withheld": list(withheld), "next": following or None}


def row_to_json(table: Table, facts: Shown, withheld: Sequence[str], came_from: Sequence[Origin] | None) -> dict[str, Any]:
    """One row for programs; `lineage` is null where this reader has no right to it."""
    lineage = None if came_from is None else [origin._asdict() for origin in came_from]
    return {"table": table.name, "row": facts.records()[0], "concepts": facts.concepts, "withheld": list(withheld), "lineage": lineage}
