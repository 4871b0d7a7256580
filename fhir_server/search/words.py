"""Search values that the vocabulary knows: its rows, and criteria with the hashes that it gives for them.

Spec: https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chartloop.kernel.db import Session
from fhir_server.search.conditions import SHORT, Condition, driver_rows, word_rows
from fhir_server.search.tree import Criterion
from fhir_server.search.values import Hashes, Value, Words

MAX_LISTED: Final = 5_000
"""Most hashes that one value becomes; beyond them the statement looks at the vocabulary itself."""

COMMON: Final = 5_000
"""A criterion with as many index rows is probed by candidate; what has fewer is listed."""


def needs_lookup(criterion: Criterion) -> bool:
    """Whether a criterion speaks of words."""
    return any(isinstance(value, Words) for value in criterion.values)


def looked_up(session: Session, criterion: Criterion) -> Criterion:
    """Put hashes in the place of words."""
    if not needs_lookup(criterion):
        return criterion
    values = tuple(_hashes(session, criterion, value) if isinstance(value, Words) else value for value in criterion.values)
    return with_frequency(session, replace(criterion, values=values))


def with_frequency(session: Session, criterion: Criterion) -> Criterion:
    """Say of a criterion with many values whether it has many index rows, too."""
    if sum(len(value.values) for value in criterion.values if isinstance(value, Hashes)) <= SHORT and not any(
        isinstance(value, Words) for value in criterion.values
    ):
        return criterion
    rows = driver_rows(criterion, session.dialect)
    found = session.one(f"SELECT count(*) FROM (SELECT 1 FROM {rows.table} d WHERE {rows.where} LIMIT {COMMON}) x", rows.params)
    return replace(criterion, common=found is not None and int(found[0]) >= COMMON)


def _hashes(session: Session, criterion: Criterion, words: Words) -> Value:
    rows: Condition = word_rows(criterion.param, words)
    found = session.all(f"{rows.sql} LIMIT {MAX_LISTED + 1}", rows.params)
    return words if len(found) > MAX_LISTED else Hashes(tuple(int(row[0]) for row in found))
