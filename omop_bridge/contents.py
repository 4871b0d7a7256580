"""What the CDM holds, as a number and a hash per table: two databases with the same contents say the same.

`cdm_source` and the vocabularies are not compared: the one holds the day of the run, the other is not made from resources.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from chartloop.kernel.db import Session
from omop_bridge.schema import TABLES
from omop_bridge.shape import WRITTEN, id_column


class Contents(NamedTuple):
    """Rows of a table, and the SHA-256 of them in the order of their ids."""

    rows: int
    sha256: str


def contents(session: Session) -> dict[str, Contents]:
    """Count and hash every table that the mapping fills; ids belong to the contents.

    Dates read the same from both drivers; numbers are compared as floats, for SQLite stores 72.0 as 72.
    """
    return {table: _hash(session, table) for table in WRITTEN}


def _hash(session: Session, table: str) -> Contents:
    digest, count = hashlib.sha256(), 0
    floats = [field.type == "float" for field in TABLES[table].fields]
    for row in session.each(f"SELECT {', '.join(TABLES[table].columns)} FROM {table} ORDER BY {id_column(table)}"):
        texts = ("" if value is None else str(float(value)) if is_float else str(value) for value, is_float in zip(row, floats, strict=True))
        digest.update("\x1f".join(texts).encode() + b"\x1e")
        count += 1
    return Contents(count, digest.hexdigest())
