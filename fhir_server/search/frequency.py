"""Long lists of codes as probes: looked up for each candidate, or all their rows listed once, whichever touches fewer rows.

Spec: https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chartloop.kernel.db import Session
from fhir_server.search.conditions import SHORT, driver_rows
from fhir_server.search.tree import Criterion
from fhir_server.search.values import Hashes, Words

CHEAP: Final = 50_000
"""So many looks at the index cost less than finding out what else would."""

COMMON: Final = 20_000
"""A criterion with as many index rows is looked at candidate by candidate, if there are few or the first ones are enough."""


def is_wide(criterion: Criterion) -> bool:
    """Whether a criterion stands for more values than are looked up one by one without a thought."""
    return _width(criterion) > SHORT


def by_frequency(session: Session, criterion: Criterion, candidates: int | None, *, early_stop: bool) -> Criterion:
    """Choose for a criterion; without a number, candidates are as many as the type has resources."""
    if not is_wide(criterion):
        return criterion
    if candidates is None and (not early_stop or criterion.modifier == "not"):
        return criterion
    by_candidate = replace(criterion, probe="by candidate" if candidates is None else "each by itself")
    if candidates is not None and candidates * _width(criterion) <= CHEAP:
        return by_candidate
    rows = driver_rows(criterion, session.dialect)
    found = session.one(f"SELECT count(*) FROM (SELECT 1 FROM {rows.table} d WHERE {rows.where} LIMIT {COMMON}) x", rows.params)
    return by_candidate if found is not None and int(found[0]) >= COMMON else criterion


def _width(criterion: Criterion) -> int:
    if any(isinstance(value, Words) for value in criterion.values):
        return CHEAP
    if not criterion.param.coded and not any(isinstance(value, Hashes) for value in criterion.values):
        return 0
    return sum(len(value.values) if isinstance(value, Hashes) else 1 for value in criterion.values)
