"""Plan a search: the most selective criterion drives, the others probe; pages by keyset on (sort key, rid).

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.db import Session
from fhir_server.hashing import SEQUENCE_MASK
from fhir_server.search.combinations import implied
from fhir_server.search.conditions import Condition, DriverRows, condition, driver_rows, listed_ids, rank_bound
from fhir_server.search.frequency import by_frequency, is_wide
from fhir_server.search.junctions import drives, holds, union_rows
from fhir_server.search.ordering import Key, behind, sort_keys
from fhir_server.search.params import SearchParam
from fhir_server.search.tree import ID, LAST_UPDATED, Criterion, Junction, Query
from fhir_server.type_ids import TYPE_IDS

ESTIMATE_LIMIT: Final = 2000
"""A criterion with more index rows than this counts as unselective; none is counted further."""


Driver = Criterion | Junction
"""What chooses the rows that everything else is asked of."""
_EACH: Final = "LATERAL (SELECT x.* FROM resource x WHERE x.rid = d.rid OFFSET 0) r"
"""On PostgreSQL, which thinks that a few rows of a range are many and would read the whole table for them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """FROM and WHERE of a search, and its order; `explain` names what drives."""

    source: Condition
    where: tuple[Condition, ...]
    keys: tuple[Key, ...]
    rid: str
    explain: str

    def backwards(self) -> Plan:
        """Turn the order round."""
        return replace(self, keys=tuple(key._replace(descending=not key.descending) for key in self.keys))

    def page(self, after: Sequence[object] | None, snapshot: int | None, limit: int) -> tuple[str, list[object]]:
        """Write the statement for one page: keys, rid."""
        where = list(self.where)
        if after is not None:
            where.append(behind([*self.keys, Key(self.rid, (), _last(self.keys))], after))
        if snapshot is not None:
            where.append(Condition(f"(r.rid & {SEQUENCE_MASK}) <= ?", (snapshot,)))
        names = ", ".join([*(key.sql for key in self.keys), self.rid])
        order = ", ".join(
            f"{place} {'DESC' if descending else 'ASC'}"
            for place, descending in enumerate([*(key.descending for key in self.keys), _last(self.keys)], start=1)
        )
        selected = [param for key in self.keys for param in key.params]
        text, params = _where(where)
        return (
            f"SELECT {names} FROM {self.source.sql} WHERE {text} ORDER BY {order} LIMIT ?",
            [*selected, *self.source.params, *params, limit],
        )

    def everything(self, limit: int) -> tuple[str, list[object]]:
        """Write the statement that lists matches in no order: public id, rid."""
        text, params = _where(self.where)
        return f"SELECT r.fhir_id, r.rid FROM {self.source.sql} WHERE {text} LIMIT ?", [*self.source.params, *params, limit]

    def rids(self) -> tuple[str, list[object]]:
        """Write the statement that lists the rid of every match."""
        text, params = _where(self.where)
        return f"SELECT r.rid FROM {self.source.sql} WHERE {text}", [*self.source.params, *params]

    def count(self) -> tuple[str, list[object]]:
        """Write the statement that counts every match."""
        text, params = _where(self.where)
        return f"SELECT count(*) FROM {self.source.sql} WHERE {text}", [*self.source.params, *params]


def plan(
    session: Session, query: Query, row_filter: RowFilter, *, whole: bool = False, keys: tuple[Key, ...] = (), only: Condition | None = None
) -> Plan:
    """Choose the driving criterion by counting a little, and make the rest probes.

    Args:
        session: Where to count.
        query: What is searched for; its chains are settled.
        row_filter: What the reader may see.
        whole: No page stops early.
        keys: The order, if it is not the one the query says.
        only: A further condition over alias r.
    """
    keys = keys or sort_keys(query)
    early_stop = not whole and len(keys) == 1 and keys[0].sql == "r.rank"
    driver, few = _choose(session, query, early_stop=early_stop)
    query = _by_frequency(session, query, driver, early_stop=early_stop)
    where = [*probes(session.dialect, query, row_filter, driver), *([only] if only else [])]
    if driver is None:
        return Plan(Condition("resource r", ()), tuple(where), keys, "r.rid", "type")
    looked_up = _EACH if few and session.dialect == "postgresql" else "resource r"
    if isinstance(driver, Junction):
        return _driven(_rows(driver, query.type, session.dialect), where, keys, driver.word, only, looked_up)
    if driver.param is ID and len(driver.values) > 1:
        source, of_list = listed_ids(driver, session.dialect)
        return Plan(source, (of_list, *where), keys, "r.rid", driver.param.code)
    if driver.param in (ID, LAST_UPDATED):
        where.append(condition(driver, session.dialect, indexed=True))
        return Plan(Condition("resource r", ()), tuple(where), keys, "r.rid", driver.param.code)
    return _driven(driver_rows(driver, session.dialect), where, keys, driver.param.code, only, looked_up)


def _driven(rows: DriverRows, where: list[Condition], keys: tuple[Key, ...], explain: str, only: Condition | None, looked_up: str) -> Plan:
    where.insert(0, Condition("r.rid = d.rid", ()))
    if rows.ordered:
        # One exact key: its index rows are in page order already, and carry the rank.
        where.insert(1, Condition(rows.where, rows.params))
        keys = tuple(key._replace(sql="d.rank") if key.sql == "r.rank" else key for key in keys)
        where = [each._replace(sql=each.sql.replace("r.rank", "d.rank")) if each is only else each for each in where]
        return Plan(Condition(f"{rows.table} d CROSS JOIN resource r", ()), tuple(where), keys, "d.rid", explain)
    found = rows.found()
    return Plan(Condition(f"({found.sql}) d CROSS JOIN {looked_up}", found.params), tuple(where), keys, "r.rid", explain)


def linked(dialect: str, query: Query, row_filter: RowFilter, param: SearchParam, hashes: Sequence[int]) -> tuple[str, list[object]]:
    """Write the statement for those reference hashes that some match of a query refers to; each look stops at the first.

    A scalar subquery, because PostgreSQL would turn EXISTS into a join over everything.
    """
    wanted = ", ".join("(?)" if dialect == "sqlite" else "(CAST(? AS bigint))" for _ in hashes)
    text, params = _where(probes(dialect, query, row_filter, None))
    sql = (
        f"WITH c(value) AS (VALUES {wanted}) SELECT c.value FROM c WHERE (SELECT 1 FROM idx_reference d "
        f"CROSS JOIN resource r WHERE d.param = ? AND d.value = c.value AND r.rid = d.rid AND {text} LIMIT 1) = 1"
    )
    return sql, [*hashes, param.id, *params]


def probes(dialect: str, query: Query, row_filter: RowFilter, driver: Driver | None) -> list[Condition]:
    """List what must hold of a row r: its type, the criteria but the driving one, and that its reader may see it."""
    where = [Condition("r.type_id = ?", (TYPE_IDS[query.type],)), Condition("r.deleted = 0", ())]
    where += [condition(each, dialect) for each in query.criteria if each is not driver]
    where += [holds(each, dialect) for each in query.junctions]
    where += [bound for each in query.criteria if (bound := rank_bound(query.type, each))]
    where.append(Condition(f"({row_filter.sql.replace('{r}', 'r')})", row_filter.params))
    return where


def selective(session: Session, query: Query) -> bool:
    """Whether something leaves so few that they can all be looked at."""
    return any(_estimate(session, query.type, each) < ESTIMATE_LIMIT for each in _drivers(session, query))


def _drivers(session: Session, query: Query) -> list[Driver]:
    return [
        *(each for each in query.criteria if drives(each)),
        *(each for each in query.junctions if union_rows(each, query.type, session.dialect)),
    ]


def _choose(session: Session, query: Query, *, early_stop: bool) -> tuple[Driver | None, bool]:
    """Return the criterion with the fewest index rows, and whether they are few; None if walking the type in order is better."""
    candidates = _drivers(session, query)
    if len(candidates) == 1 and _ordered(candidates[0], session.dialect):
        return candidates[0], False
    best: tuple[int, Driver] | None = None
    # What has to be counted by reading a whole parameter comes last, and only if nothing else is selective.
    for each in sorted(candidates, key=lambda each: not _bounded(each, query.type, session.dialect)):
        if best is not None and best[0] < ESTIMATE_LIMIT and not _bounded(each, query.type, session.dialect):
            break
        count = _estimate(session, query.type, each)
        if best is None or count < best[0]:
            best = (count, each)
    if best is None or best[0] < ESTIMATE_LIMIT:
        return (best[1], True) if best else (None, False)
    candidates += [found for each in query.criteria if each in candidates and (found := implied(query.type, each))]
    ordered = next((each for each in candidates if _ordered(each, session.dialect)), None)
    return ordered if early_stop or _is(best[1], LAST_UPDATED) else best[1], False


def _by_frequency(session: Session, query: Query, driver: Driver | None, *, early_stop: bool) -> Query:
    """Say of each long list of codes how it is probed."""
    if not any(is_wide(each) for each in query.criteria):
        return query
    few = ESTIMATE_LIMIT if driver is None else _estimate(session, query.type, driver)
    candidates = few if few < ESTIMATE_LIMIT else None
    criteria = [each if each is driver else by_frequency(session, each, candidates, early_stop=early_stop) for each in query.criteria]
    return replace(query, criteria=criteria)


def _is(driver: Driver, *params: SearchParam) -> bool:
    return isinstance(driver, Criterion) and driver.param in params


def _rows(driver: Driver, type_: str, dialect: str) -> DriverRows:
    if isinstance(driver, Criterion):
        return driver_rows(driver, dialect)
    rows = union_rows(driver, type_, dialect)
    if rows is None:
        raise TypeError("What has no index rows drives nothing.")
    return rows


def _bounded(driver: Driver, type_: str, dialect: str) -> bool:
    return _is(driver, ID, LAST_UPDATED) or _rows(driver, type_, dialect).bounded


def _ordered(driver: Driver, dialect: str) -> bool:
    return isinstance(driver, Criterion) and not _is(driver, ID, LAST_UPDATED) and driver_rows(driver, dialect).ordered


def _estimate(session: Session, type_: str, driver: Driver) -> int:
    if isinstance(driver, Criterion) and driver.param is ID:
        return len(driver.values)
    if isinstance(driver, Criterion) and driver.param is LAST_UPDATED:
        inside = condition(driver, session.dialect, indexed=True)
        where, params = f"resource r WHERE r.type_id = ? AND {inside.sql}", (TYPE_IDS[type_], *inside.params)
    else:
        rows = _rows(driver, type_, session.dialect).found(distinct=False)
        where, params = f"({rows.sql}) y", rows.params
    found = session.one(f"SELECT count(*) FROM (SELECT 1 FROM {where} LIMIT {ESTIMATE_LIMIT}) x", params)
    return int(found[0]) if found else 0


def _last(keys: Sequence[Key]) -> bool:
    """Return the direction of rid, the last key: that of the key before it, so that one index serves both."""
    return keys[-1].descending


def _where(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    return (
        " AND ".join(each.sql for each in conditions),
        [param for each in conditions for param in each.params],
    )
