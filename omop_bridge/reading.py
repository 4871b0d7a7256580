"""Rows of a CDM table as the pages show them: by key and never by offset, without the columns that hold words.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid, NotFound
from omop_bridge.schema import TABLES, Field, Table

PAGE_ROWS = 50
LARGEST_INTEGER = 2**31 - 1

WORDS: Mapping[str, frozenset[str]] = {
    "condition_occurrence": frozenset({"stop_reason"}),
    "drug_exposure": frozenset({"sig", "stop_reason", "lot_number"}),
    "note": frozenset({"note_title", "note_text"}),
    "note_nlp": frozenset({"snippet", "lexical_variant", "term_modifiers"}),
    "observation": frozenset({"value_as_string", "value_source_value"}),
    "measurement": frozenset({"value_source_value"}),
    "location": frozenset({"address_1", "address_2", "location_source_value"}),
    "provider": frozenset({"provider_name", "npi", "dea", "provider_source_value"}),
}
"""Columns that may hold a person's own words or name somebody: shown only to who has the right to text."""

Cell = str | int | float | None


class RowPage(NamedTuple):
    """Some rows; `next` is the cursor of those after them, "" when there are none."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    next: str


def find_table(name: str) -> Table:
    """The table of a name; raise NotFound when CDM 5.4 has none."""
    table = TABLES.get(name)
    if table is None:
        raise NotFound("CDM 5.4 has no such table.")
    return table


def withheld(table: Table, *, words: bool) -> tuple[str, ...]:
    """The columns that this reader does not get."""
    return () if words else tuple(sorted(WORDS.get(table.name, ())))


def identity(table: Table) -> str | None:
    """The column by which one row is named: the primary key; a death has its person's."""
    return table.key or ("person_id" if table.name == "death" else None)


@cache
def _order(name: str) -> tuple[Field, ...]:
    """What rows are ordered by: the primary key; where there is none, every required field that is no text without end."""
    table = TABLES[name]
    keys = tuple(field for field in table.fields if field.primary_key)
    return keys or tuple(field for field in table.fields if field.required and field.type != "text")


def read_page(session: Session, table: Table, cursor: str, *, words: bool, size: int = PAGE_ROWS) -> RowPage:
    """Read the rows after a cursor.

    Raises:
        Invalid: The cursor is none that this table gave.
    """
    order = _order(table.name)
    names = [_quoted(field.name) for field in order]
    after = _read_cursor(cursor, order) if cursor else []
    where = f" WHERE ({', '.join(names)}) > ({', '.join('?' * len(names))})" if after else ""
    shown = _shown(table, words=words)
    columns = ", ".join(_quoted(name) for name in shown)
    sql = f"SELECT {', '.join(names)}, {columns} FROM {table.name}{where} ORDER BY {', '.join(names)} LIMIT ?"
    found = session.all(sql, (*after, size + 1))
    rows = tuple(tuple(map(cell, row[len(names) :])) for row in found[:size])
    following = _write_cursor(found[size - 1][: len(names)]) if len(found) > size else ""
    return RowPage(shown, rows, following)


def read_row(session: Session, table: Table, row_id: int, *, words: bool) -> dict[str, Cell]:
    """Read one row; raise NotFound when there is none, or its table names no rows."""
    key = identity(table)
    if key is None or not 0 <= row_id <= LARGEST_INTEGER:
        raise NotFound
    shown = _shown(table, words=words)
    found = session.one(f"SELECT {', '.join(map(_quoted, shown))} FROM {table.name} WHERE {key} = ?", (row_id,))
    if found is None:
        raise NotFound
    return dict(zip(shown, map(cell, found), strict=True))


def concept_names(session: Session, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> dict[int, str]:
    """The names of the concepts that rows mention, as far as this database knows them; 0 is none."""
    places = [place for place, name in enumerate(columns) if name.endswith("concept_id")]
    ids = sorted({value for row in rows for place in places if isinstance(value := row[place], int) and value})
    if not ids:
        return {}
    marks = ", ".join("?" * len(ids))
    return {int(key): str(name) for key, name in session.all(f"SELECT concept_id, concept_name FROM concept WHERE concept_id IN ({marks})", ids)}


def cell(value: object) -> Cell:
    """A value as JSON and people take it: PostgreSQL gives dates and decimals where SQLite gives text and floats."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):  # a datetime is one
        return str(value)
    return value if isinstance(value, str | int | float) else None


def _shown(table: Table, *, words: bool) -> tuple[str, ...]:
    hidden = withheld(table, words=words)
    return tuple(field.name for field in table.fields if field.name not in hidden)


def _quoted(name: str) -> str:
    return f'"{name}"' if name == "offset" else name


def _write_cursor(values: Sequence[object]) -> str:
    text = json.dumps([cell(value) for value in values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, order: Sequence[Field]) -> list[Cell]:
    wrong = Invalid("The parameter page is none that this table gave: follow the link to the next page.", code="value")
    if not cursor.isascii() or len(cursor) > 2_000:
        raise wrong
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise wrong from None
    if not isinstance(values, list) or len(values) != len(order) or not all(map(_fits, values, order)):
        raise wrong
    return values


def _fits(value: object, field: Field) -> bool:
    if field.type == "integer":
        return type(value) is int and abs(value) <= LARGEST_INTEGER
    if field.type == "float":
        return type(value) in (int, float)
    if field.type in ("date", "datetime"):
        return isinstance(value, str) and _is_date(value)
    return isinstance(value, str) and _is_storable(value)


def _is_storable(value: str) -> bool:
    """No database takes a NUL or half a surrogate pair, which JSON can write."""
    try:
        return b"\x00" not in value.encode()
    except UnicodeEncodeError:
        return False


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        return False
    return len(value) <= len("2026-11-22 08:00:00.000000")
