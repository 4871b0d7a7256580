"""Plan a search: the most selective criterion drives, the others probe; pages by keyset on (sort key, rid).

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.db import Session
from fhir_server.hashing import SEQUENCE_MASK
from fhir_server.indexing.rows import clinical_date
from fhir_server.search.conditions import Condition, DriverRows, condition, driver_rows, listed_ids, rank_bound
from fhir_server.search.junctions import drives, holds, union_rows
from fhir_server.search.params import SearchParam
from fhir_server.search.tree import ID, LAST_UPDATED, Criterion, Junction, Query, SortKey
from fhir_server.type_ids import TYPE_IDS

ESTIMATE_LIMIT: Final = 2000
"""A criterion with more index rows than this counts as unselective; none is counted further."""


Driver = Criterion | Junction
"""What chooses the rows that everything else is asked of."""


class Key(NamedTuple):
    """One ORDER BY expression over alias r."""

    sql: str
    params: tuple[object, ...]
    descending: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """FROM and WHERE of a search, and its order; `explain` names what drives."""

    source: Condition
    where: tuple[Condition, ...]
    keys: tuple[Key, ...]
    rid: str
    explain: str

    def page(self, after: Sequence[object] | None, snapshot: int | None, limit: int) -> tuple[str, list[object]]:
        """Write the statement for one page: keys, rid."""
        where = list(self.where)
        if after is not None:
            where.append(_after([*self.keys, Key(self.rid, (), _last(self.keys))], after))
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

    def count(self) -> tuple[str, list[object]]:
        """Write the statement that counts every match."""
        text, params = _where(self.where)
        return f"SELECT count(*) FROM {self.source.sql} WHERE {text}", [*self.source.params, *params]


def plan(session: Session, query: Query, row_filter: RowFilter, *, whole: bool = False) -> Plan:
    """Choose the driving criterion by counting a little, and make the rest probes; `whole` where no page stops early."""
    keys = _keys(query)
    driver = _choose(session, query, early_stop=not whole and len(keys) == 1 and keys[0].sql == "r.rank")
    where = _probes(session.dialect, query, row_filter, driver)
    if driver is None:
        return Plan(Condition("resource r", ()), tuple(where), keys, "r.rid", "type")
    if isinstance(driver, Junction):
        return _driven(_rows(driver, query.type, session.dialect), where, keys, driver.word)
    if driver.param is ID and len(driver.values) > 1:
        source, of_list = listed_ids(driver, session.dialect)
        return Plan(source, (of_list, *where), keys, "r.rid", driver.param.code)
    if driver.param in (ID, LAST_UPDATED):
        where.append(condition(driver, session.dialect, indexed=True))
        return Plan(Condition("resource r", ()), tuple(where), keys, "r.rid", driver.param.code)
    return _driven(driver_rows(driver, session.dialect), where, keys, driver.param.code)


def _driven(rows: DriverRows, where: list[Condition], keys: tuple[Key, ...], explain: str) -> Plan:
    where.insert(0, Condition("r.rid = d.rid", ()))
    if rows.ordered:
        # One exact key: its index rows are in page order already, and carry the rank.
        where.insert(1, Condition(rows.where, rows.params))
        keys = tuple(key._replace(sql="d.rank") if key.sql == "r.rank" else key for key in keys)
        return Plan(Condition(f"{rows.table} d CROSS JOIN resource r", ()), tuple(where), keys, "d.rid", explain)
    chosen = f"(SELECT DISTINCT d.rid FROM {rows.table} d WHERE {rows.where}) d CROSS JOIN resource r"
    return Plan(Condition(chosen, rows.params), tuple(where), keys, "r.rid", explain)


def linked(dialect: str, query: Query, row_filter: RowFilter, param: SearchParam, hashes: Sequence[int]) -> tuple[str, list[object]]:
    """Write the statement for those reference hashes that some match of a query refers to; each look stops at the first.

    A scalar subquery, because PostgreSQL would turn EXISTS into a join over everything.
    """
    wanted = ", ".join("(?)" if dialect == "sqlite" else "(CAST(? AS bigint))" for _ in hashes)
    text, params = _where(_probes(dialect, query, row_filter, None))
    sql = (
        f"WITH c(value) AS (VALUES {wanted}) SELECT c.value FROM c WHERE (SELECT 1 FROM idx_reference d "
        f"CROSS JOIN resource r WHERE d.param = ? AND d.value = c.value AND r.rid = d.rid AND {text} LIMIT 1) = 1"
    )
    return sql, [*hashes, param.id, *params]


def _probes(dialect: str, query: Query, row_filter: RowFilter, driver: Driver | None) -> list[Condition]:
    """List what must hold of a row r: its type, the criteria but the driving one, and that its reader may see it."""
    where = [Condition("r.type_id = ?", (TYPE_IDS[query.type],)), Condition("r.deleted = 0", ())]
    where += [condition(each, dialect) for each in query.criteria if each is not driver]
    where += [holds(each, dialect) for each in query.junctions]
    where += [bound for each in query.criteria if (bound := rank_bound(query.type, each))]
    where.append(Condition(f"({row_filter.sql.replace('{r}', 'r')})", row_filter.params))
    return where


def _choose(session: Session, query: Query, *, early_stop: bool) -> Driver | None:
    """Return the criterion with the fewest index rows; None if walking the type in order is better."""
    candidates: list[Driver] = [each for each in query.criteria if drives(each)]
    candidates += [each for each in query.junctions if union_rows(each, query.type, session.dialect)]
    if len(candidates) == 1 and _ordered(candidates[0], session.dialect):
        return candidates[0]
    best: tuple[int, Driver] | None = None
    # What has to be counted by reading a whole parameter comes last, and only if nothing else is selective.
    for each in sorted(candidates, key=lambda each: not _bounded(each, query.type, session.dialect)):
        if best is not None and best[0] < ESTIMATE_LIMIT and not _bounded(each, query.type, session.dialect):
            break
        count = _estimate(session, query.type, each)
        if best is None or count < best[0]:
            best = (count, each)
    if best is None or best[0] < ESTIMATE_LIMIT:
        return best[1] if best else None
    ordered = next((each for each in candidates if _ordered(each, session.dialect)), None)
    return ordered if early_stop or _is(best[1], LAST_UPDATED) else best[1]


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
        rows = _rows(driver, type_, session.dialect)
        where, params = f"{rows.table} d WHERE {rows.where}", rows.params
    found = session.one(f"SELECT count(*) FROM (SELECT 1 FROM {where} LIMIT {ESTIMATE_LIMIT}) x", params)
    return int(found[0]) if found else 0


def _keys(query: Query) -> tuple[Key, ...]:
    ranking = clinical_date(query.type)
    if not query.sort:
        return (Key("r.rank", (), descending=False),)
    return tuple(_key(key, ranking is not None and key.param.id == ranking.id) for key in query.sort)


def _key(key: SortKey, ranked: bool) -> Key:
    if key.param is ID:
        return Key("r.fhir_id", (), key.descending)
    if key.param is LAST_UPDATED:
        return Key("r.updated", (), key.descending)
    if ranked:
        return Key("r.rank", (), not key.descending)
    if key.param.type == "date":
        lowest = "COALESCE((SELECT MIN(s.low) FROM idx_date s WHERE s.rid = r.rid AND s.param = ?), -9223372036854775807)"
        return Key(lowest, (key.param.id,), key.descending)
    first = "COALESCE((SELECT MIN(s.value) FROM idx_string s WHERE s.rid = r.rid AND s.param = ?), '')"
    return Key(first, (key.param.id,), key.descending)


def _last(keys: Sequence[Key]) -> bool:
    """Return the direction of rid, the last key: that of the key before it, so that one index serves both."""
    return keys[-1].descending


def _after(columns: Sequence[Key], after: Sequence[object]) -> Condition:
    """Write "behind this position" in lexicographic order, as one row comparison where the directions agree."""
    if len({key.descending for key in columns}) == 1:
        sign = "<" if columns[0].descending else ">"
        params = [param for key in columns for param in key.params]
        names = ", ".join(key.sql for key in columns)
        return Condition(f"({names}) {sign} ({', '.join('?' * len(columns))})", (*params, *after))
    alternatives, params = [], []
    for place, key in enumerate(columns):
        equal = [f"{each.sql} = ?" for each in columns[:place]]
        for each, value in zip(columns[:place], after, strict=False):
            params += [*each.params, value]
        alternatives.append(" AND ".join([*equal, f"{key.sql} {'<' if key.descending else '>'} ?"]))
        params += [*key.params, after[place]]
    return Condition("(" + " OR ".join(f"({each})" for each in alternatives) + ")", tuple(params))


def _where(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    return (
        " AND ".join(each.sql for each in conditions),
        [param for each in conditions for param in each.params],
    )
