"""Rows as the tuples that their tables take: every field in its place, text cut to what fits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from omop_bridge.schema import TABLES

EVENT_TABLES: tuple[str, ...] = (
    "visit_occurrence",
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "device_exposure",
    "measurement",
    "observation",
    "note",
)
"""Tables of what happened to a person."""

WRITTEN: tuple[str, ...] = ("care_site", "person", "death", *EVENT_TABLES, "observation_period")
"""Every table that the mapping fills."""


class _Shape(NamedTuple):
    names: tuple[str, ...]
    limits: tuple[tuple[int, int], ...]
    id_place: int
    person_place: int | None


@cache
def _shape(table: str) -> _Shape:
    fields = TABLES[table].fields
    names = tuple(field.name for field in fields)
    limits = tuple((place, field.length) for place, field in enumerate(fields) if field.length)
    return _Shape(names, limits, names.index(id_column(table)), names.index("person_id") if "person_id" in names else None)


@cache
def id_column(table: str) -> str:
    """The column that the lineage's row id stands in; a death has its person's."""
    return TABLES[table].key or "person_id"


def row_to_values(table: str, values: Mapping[str, Any], row_id: int, person_id: int | None) -> list[Any]:
    """One row for INSERT."""
    shape = _shape(table)
    row = [values.get(name) for name in shape.names]
    for place, length in shape.limits:
        value = row[place]
        if value is not None and len(value) > length:
            row[place] = value[:length]
    if shape.person_place is not None:
        row[shape.person_place] = person_id
    row[shape.id_place] = row_id
    return row
