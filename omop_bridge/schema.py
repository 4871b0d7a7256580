"""The tables and fields of OMOP CDM 5.4, as OHDSI defines them.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import zstandard
from sqlalchemy import Column, Date, DateTime, Index, Integer, MetaData, Numeric, String, Text
from sqlalchemy import Table as SqlTable
from sqlalchemy.types import TypeEngine

FACTS = Path(__file__).with_name("cdm54.json.zst")
VERSION = "5.4"
CDM_CONCEPT_ID = 756265
"""The concept of the version, for cdm_source.cdm_version_concept_id."""

_LENGTH = re.compile(r"varchar\((\d+)\)")


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `type` is integer, float, date, datetime, text or varchar(n); `domain` is what the concept it points to must belong to."""

    name: str
    type: str
    required: bool
    primary_key: bool
    foreign_table: str | None
    foreign_field: str | None
    domain: str | None

    @property
    def length(self) -> int | None:
        """How many characters fit, where that is limited."""
        found = _LENGTH.fullmatch(self.type)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Table:
    """One table; `part` is CDM (clinical), VOCAB (concepts) or RESULTS (cohorts)."""

    name: str
    part: str
    fields: tuple[Field, ...]
    indexes: tuple[tuple[str, tuple[str, ...]], ...]

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by their names."""
        return MappingProxyType({field.name: field for field in self.fields})

    @cached_property
    def key(self) -> str | None:
        """The field that is the primary key; a few tables (death, fact_relationship, …) have none."""
        return next((field.name for field in self.fields if field.primary_key), None)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Every field's name as SQL wants it: `offset` of note_nlp is a reserved word."""
        return tuple(f'"{field.name}"' if field.name == "offset" else field.name for field in self.fields)


def read_facts(path: Path = FACTS) -> dict[str, Any]:
    """The facts file that omop_bridge.generate_schema writes, unpacked."""
    facts: dict[str, Any] = json.loads(zstandard.decompress(path.read_bytes()))
    return facts


def _tables(facts: Mapping[str, Any]) -> dict[str, Table]:
    return {
        name: Table(name, part, tuple(Field(*field) for field in fields), tuple((index, tuple(columns)) for index, columns in indexes))
        for name, part, fields, indexes in facts["tables"]
    }


TABLES: Mapping[str, Table] = MappingProxyType(_tables(read_facts()))
"""Every table of CDM 5.4 by name, in OHDSI's order."""


def _sql_type(field: Field) -> TypeEngine[Any]:
    plain: dict[str, TypeEngine[Any]] = {
        "integer": Integer(),
        "float": Numeric(asdecimal=False),
        "date": Date(),
        "datetime": DateTime(),
        "text": Text(),
    }
    return plain.get(field.type) or String(field.length)


def metadata() -> MetaData:
    """All tables as SQLAlchemy sees them.

    References are not made constraints: concept and domain point at each other, and a table is filled in the order in which
    the events come. `Field.foreign_table` has them, and the coverage report counts the ones that lead nowhere.
    """
    made = MetaData()
    for table in TABLES.values():
        columns = [
            Column(field.name, _sql_type(field), nullable=not field.required, primary_key=field.primary_key, autoincrement=False) for field in table.fields
        ]
        SqlTable(table.name, made, *columns, *(Index(name, *fields) for name, fields in table.indexes))
    return made
