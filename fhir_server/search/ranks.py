"""The part of the page order in which matches can be: what criteria on the clinical date say of the rank.

A rank is the beginning of the clinical date, newest first. What has not ended by a moment began at most a day before, unless it is
long; those have an index of their own, and the earliest of them moves the bound, as long as they are few.
Spec: https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from typing import Final, NamedTuple

from chartloop.kernel.db import Session
from fhir_server.indexing.rows import clinical_date, rank_of
from fhir_server.search.conditions import Condition, not_before
from fhir_server.search.ordering import is_rank
from fhir_server.search.params import SearchParam
from fhir_server.search.tree import Criterion, Query, SortKey
from fhir_server.search.values import DateRange
from fhir_server.tables import LONG

_FEW: Final = 200
_BEFORE: Final = frozenset({"eq", "le", "ap"})
_BEFORE_IT: Final = frozenset({"lt", "eb"})
_SINCE: Final = frozenset({"gt", "ge", "ap"})


class Ranks(NamedTuple):
    """First and last rank; None is no bound."""

    first: int | None = None
    last: int | None = None

    def conditions(self, column: str) -> list[Condition]:
        """Write both bounds."""
        bounds = ((">=", self.first), ("<=", self.last))
        return [Condition(f"{column} {sign} ?", (bound,)) for sign, bound in bounds if bound is not None]


def ranks_of(session: Session, query: Query) -> tuple[Ranks, list[Criterion]]:
    """Return the bounds of a query, and the criteria that a walk between them replaces as ways in."""
    param = clinical_date(query.type)
    if param is None:
        return Ranks(), []
    ranks, replaced = Ranks(), []
    alone = is_rank(query.type, SortKey(param, descending=True))
    for each in query.criteria:
        if each.param.id != param.id or len(each.values) != 1 or not isinstance(each.values[0], DateRange):
            continue
        found = _bounds(session, param, each.values[0], alone=alone)
        if alone and found != Ranks():
            replaced.append(each)
        firsts, lasts = ([bound for bound in pair if bound is not None] for pair in zip(ranks, found, strict=True))
        ranks = Ranks(max(firsts, default=None), min(lasts, default=None))
    return ranks, replaced


def _bounds(session: Session, param: SearchParam, value: DateRange, *, alone: bool) -> Ranks:
    """Bound one criterion; the last rank only where a resource has one date, which is the one that must match."""
    first = rank_of(value.low) if value.prefix in _BEFORE_IT else rank_of(value.high) if value.prefix in _BEFORE else None
    if not alone:
        return Ranks(first)
    if value.prefix in ("eq", "sa"):
        return Ranks(first, rank_of(value.low if value.prefix == "eq" else value.high))
    return Ranks(first, _since(session, param, not_before(value)) if value.prefix in _SINCE else None)


def _since(session: Session, param: SearchParam, start: int) -> int | None:
    """Return the rank of the earliest beginning of what ends behind a moment; None where many long ones do."""
    sql = f"SELECT d.low FROM idx_date d WHERE d.low < d.high - {LONG} AND d.param = ? AND d.high > ? ORDER BY d.high LIMIT {_FEW}"
    lows = [int(row[0]) for row in session.all(sql, (param.id, start))]
    return rank_of(min([start - LONG, *lows])) if len(lows) < _FEW else None

