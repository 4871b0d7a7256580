"""Plan a search: the most selective criterion drives, the others probe; pages by keyset on (sort key, rid).

Little is counted. What has few rows drives. Else the sparsest list in page order is tried for a few hundred rows, which fill a page
where matches are frequent; only where they do not is more counted. So the work depends on how frequent matches are, not on how
many resources there are.
Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.db import Session
from fhir_server.search.combinations import implied
from fhir_server.search.conditions import Condition, condition, listed_ids
from fhir_server.search.drivers import (
    Driver,
    Estimate,
    drivers_of,
    estimate,
    index_rows,
    is_bounded,
    is_column,
    is_ordered,
    sparsest,
    uncounted,
    values_apart,
    walk_of,
)
from fhir_server.search.frequency import by_frequency, is_wide
from fhir_server.search.junctions import holds
from fhir_server.search.ordering import Key, sort_keys
from fhir_server.search.params import SearchParam
from fhir_server.search.plans import Plan, written
from fhir_server.search.ranks import Ranks, ranks_of
from fhir_server.search.tree import ID, Criterion, Junction, Query
from fhir_server.type_ids import TYPE_IDS

FEW: Final = 256
"""What has fewer index rows than this drives without a further look."""
HANDFUL: Final = 16
"""So few that nothing else is counted."""
ESTIMATE_LIMIT: Final = 2000
"""A criterion with more index rows than this counts as unselective; none is counted further."""

_EACH: Final = "LATERAL (SELECT x.* FROM resource x WHERE x.rid = d.rid OFFSET 0) r"
"""On PostgreSQL, which thinks that a few rows of a range are many and would read the whole table for them."""
_COLUMN: Final = re.compile(r"\br\.(\w+)")


def plan(
    session: Session, query: Query, row_filter: RowFilter, *,
    whole: bool = False, counted: bool = False, keys: tuple[Key, ...] = (), only: Condition | None = None,
) -> Plan:  # fmt: skip
    """Choose the driving criterion by counting a little, and make the rest probes.

    Args:
        session: Where to count.
        query: What is searched for; its chains are settled.
        row_filter: What the reader may see.
        whole: No page stops early.
        counted: Nothing but the number of rows, or their rids, is wanted.
        keys: The order, if it is not the one the query says.
        only: A further condition over alias r.
    """
    return _Planner(session, query, row_filter, keys or sort_keys(query), only, whole=whole, counted=counted).plan()


def linked(dialect: str, query: Query, row_filter: RowFilter, param: SearchParam, hashes: Sequence[int]) -> tuple[str, list[object]]:
    """Write the statement for those reference hashes that some match of a query refers to; each look stops at the first.

    A scalar subquery, because PostgreSQL would turn EXISTS into a join over everything.
    """
    wanted = ", ".join("(?)" if dialect == "sqlite" else "(CAST(? AS bigint))" for _ in hashes)
    text, params = written(probes(dialect, query, row_filter, None))
    sql = (
        f"WITH c(value) AS (VALUES {wanted}) SELECT c.value FROM c WHERE (SELECT 1 FROM idx_reference d "
        f"CROSS JOIN resource r WHERE d.param = ? AND d.value = c.value AND r.rid = d.rid AND {text} LIMIT 1) = 1"
    )
    return sql, [*hashes, param.id, *params]


def probes(dialect: str, query: Query, row_filter: RowFilter, driver: Driver | None) -> list[Condition]:
    """List what must hold of a row r: its type, the criteria but the driving one, and that its reader may see it."""
    living = [Condition("r.type_id = ?", (TYPE_IDS[query.type],)), Condition("r.deleted = 0", ())]
    return [*living, *_asked(dialect, query, row_filter, driver)]


def _asked(dialect: str, query: Query, row_filter: RowFilter, driver: Driver | None) -> list[Condition]:
    where = [condition(each, dialect) for each in query.criteria if each is not driver]
    where += [holds(each, dialect) for each in query.junctions]
    return [*where, Condition(f"({row_filter.sql.replace('{r}', 'r')})", row_filter.params)]


def fewest(session: Session, query: Query, row_filter: RowFilter, limit: int) -> int:
    """Return how many rows the most selective part of a query has, counted up to a limit."""
    return _Planner(session, query, row_filter, (), None, whole=True).few(limit).rows


def selective(session: Session, query: Query, row_filter: RowFilter) -> bool:
    """Whether something leaves so few that they can all be looked at."""
    return fewest(session, query, row_filter, ESTIMATE_LIMIT) < ESTIMATE_LIMIT


class _Planner:
    def __init__(self, session: Session, query: Query, row_filter: RowFilter, keys: tuple[Key, ...], only: Condition | None, *, whole: bool, counted: bool = False) -> None:
        self._session = session
        self._dialect = session.dialect
        self._query = query
        self._row_filter = row_filter
        self._keys = keys
        self._only = only
        self._ranks, replaced = ranks_of(session, query)
        self._drivers = [each for each in drivers_of(query, row_filter, session.dialect) if each not in replaced]
        self._counted_only = counted
        self._early_stop = not whole and len(keys) == 1 and keys[0].sql == "r.rank"

    def plan(self) -> Plan:
        ordered = self._ordered()
        if not self._drivers or (len(self._drivers) == 1 and ordered == self._drivers):
            return self._planned(ordered[0])
        limit = min(FEW, ESTIMATE_LIMIT)
        if not self._early_stop:
            return self._counted()
        found = self.few(limit)
        if found.rows < limit:
            return self._planned(found.driver, few=True)
        first = sparsest([estimate(self._session, self._query, each, self._ranks, limit) for each in ordered])
        walk = walk_of(first.driver, self._query.type, self._ranks, self._dialect)
        return replace(self._planned(first.driver), walk=walk, otherwise=self._counted)

    def few(self, limit: int) -> Estimate:
        """Find the driver with the fewest rows; what must be counted by reading a whole parameter is, if nothing else is selective."""
        best = uncounted(next(iter(self._drivers), None), limit)
        ways: list[Driver | None] = [*self._drivers, *([None] if self._ranks != Ranks() and self._ordered() == [None] else [])]
        for each in sorted(ways, key=lambda each: (not is_column(each), not self._bounded(each))):
            if best.rows <= HANDFUL or (best.rows < limit and not self._bounded(each)):
                break
            found = estimate(self._session, self._query, each, self._ranks, min(limit, best.rows))
            if best.rows == limit or found.rows < best.rows:
                best = sparsest([best, found])
        return best

    def _ordered(self) -> list[Driver | None]:
        """List what is in page order; the type where nothing narrower is."""
        return [each for each in self._drivers if is_ordered(each, self._dialect)] or [None]

    def _bounded(self, driver: Driver | None) -> bool:
        return driver is None or is_bounded(driver, self._query.type, self._dialect)

    def _counted(self) -> Plan:
        """Plan after counting more."""
        best = self.few(ESTIMATE_LIMIT)
        if best.rows < ESTIMATE_LIMIT:
            return self._planned(best.driver, few=True)
        if not self._early_stop and not is_column(best.driver):
            return self._planned(best.driver)
        first = [found for each in self._query.criteria if each in self._drivers and (found := implied(self._query.type, each))]
        in_order = [each for each in [*self._ordered(), *first] if each is not None and is_ordered(each, self._dialect)]
        apart = [each for each in self._drivers if values_apart(each, self._dialect)] if self._early_stop and not in_order else []
        if apart:
            driver = apart[0]
            arms = tuple(self._planned(arm, instead_of=driver) for arm in values_apart(driver, self._dialect))
            return replace(arms[0], arms=arms)
        return self._planned(in_order[0] if in_order else None)

    def _planned(self, driver: Driver | None, *, few: bool = False, instead_of: Driver | None = None) -> Plan:
        query = self._by_frequency(driver, instead_of or driver, few=few)
        asked = [*_asked(self._dialect, query, self._row_filter, instead_of or driver), *([self._only] if self._only else [])]
        living = [Condition("r.type_id = ?", (TYPE_IDS[query.type],)), Condition("r.deleted = 0", ())]
        where = [*living, *self._ranks.conditions("r.rank"), *asked]
        if driver is None:
            return Plan(Condition("resource r", ()), tuple(where), self._keys, "r.rid", "type")
        if isinstance(driver, Criterion) and driver.param is ID and len(driver.values) > 1:
            source, of_list = listed_ids(driver, self._dialect)
            return Plan(source, (of_list, *where), self._keys, "r.rid", driver.param.code)
        if isinstance(driver, Criterion) and is_column(driver):
            where.append(condition(driver, self._dialect, indexed=True))
            return Plan(Condition("resource r", ()), tuple(where), self._keys, "r.rid", driver.param.code)
        return self._driven(driver, where, asked, few=few)

    def _driven(self, driver: Driver, where: list[Condition], asked: list[Condition], *, few: bool) -> Plan:
        explain = driver.word if isinstance(driver, Junction) else driver.param.code
        rows = index_rows(driver, self._query.type, self._dialect)
        bare = (self._early_stop or self._counted_only) and all(set(_COLUMN.findall(each.sql)) <= {"rank", "rid"} for each in asked)
        bounds = self._ranks.conditions("d.rank")
        if bare and not rows.ordered and rows.ranked:
            found = Condition(f"SELECT DISTINCT d.rank, d.rid FROM {rows.table} d WHERE {rows.where}", rows.params)
            return Plan(Condition(f"({found.sql}) d", found.params), (*bounds, *map(_of_row, asked)), _of_keys(self._keys), "d.rid", explain)
        if not rows.ordered:
            found = rows.found()
            looked_up = _EACH if few and self._dialect == "postgresql" else "resource r"
            return Plan(Condition(f"({found.sql}) d CROSS JOIN {looked_up}", found.params), (Condition("r.rid = d.rid", ()), *where), self._keys, "r.rid", explain)
        # One exact key: its index rows are in page order already, and carry the rank.
        exact = Condition(rows.where, rows.params)
        keys = _of_keys(self._keys)
        if bare:
            return Plan(Condition(f"{rows.table} d", ()), (exact, *bounds, *map(_of_row, asked)), keys, "d.rid", explain)
        where = [each._replace(sql=each.sql.replace("r.rank", "d.rank")) if each is self._only else each for each in where]
        return Plan(Condition(f"{rows.table} d CROSS JOIN resource r", ()), (Condition("r.rid = d.rid", ()), exact, *bounds, *where), keys, "d.rid", explain)

    def _by_frequency(self, driver: Driver | None, answered: Driver | None, *, few: bool) -> Query:
        """Say of each long list of codes how it is probed."""
        query = self._query
        if not any(is_wide(each) for each in query.criteria):
            return query
        count = estimate(self._session, query, driver, self._ranks, ESTIMATE_LIMIT).rows if few else ESTIMATE_LIMIT
        candidates = count if count < ESTIMATE_LIMIT else None
        criteria = [
            each if each is answered else by_frequency(self._session, each, candidates, early_stop=self._early_stop) for each in query.criteria
        ]
        return replace(query, criteria=criteria)


def _of_keys(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    return tuple(key._replace(sql=key.sql.replace("r.rank", "d.rank")) for key in keys)


def _of_row(asked: Condition) -> Condition:
    """Ask an index row what would be asked of its resource: what is gone has none, and a parameter is of one type."""
    return asked._replace(sql=_COLUMN.sub(r"d.\1", asked.sql))
