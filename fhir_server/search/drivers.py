"""What can choose the rows of a search, and how many rows that is: counted a little, or seen from how far apart they lie.

Of two lists in page order the one whose first rows reach farther is the sparser one; how long they are need not be known.
Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from chartloop.kernel.access.rows import RowFilter
from chartloop.kernel.db import Session
from fhir_server.compartments import compartment_params
from fhir_server.search.conditions import Condition, DriverRows, condition, driver_rows, exact_values
from fhir_server.search.junctions import drives, union_rows
from fhir_server.search.ranks import Ranks
from fhir_server.search.tree import ID, LAST_UPDATED, Criterion, Junction, Query
from fhir_server.search.values import Hashes, ReferenceTo, Token
from fhir_server.type_ids import TYPE_IDS

_NO_REACH: Final = -(2**62)
Driver = Criterion | Junction
"""What chooses the rows that everything else is asked of."""
MAX_MERGED: Final = 16
"""Most values of one criterion whose lists are merged in page order."""


class Estimate(NamedTuple):
    """Rows, counted up to a limit, and the rank of the last one counted where they are in page order."""

    rows: int
    reach: int
    driver: Driver | None
    """None walks the type."""


def drivers_of(query: Query, row_filter: RowFilter, dialect: str) -> list[Driver]:
    """List what has index rows: the one chart that the reader may see, criteria, alternatives."""
    return [
        *(each for name, value in row_filter.requires if name == "patient" and (each := _own(query.type, value)) is not None),
        *(each for each in query.criteria if drives(each)),
        *(each for each in query.junctions if union_rows(each, query.type, dialect)),
    ]


def _own(type_: str, patient: str) -> Criterion | None:
    """Write the index rows of everything in a patient's compartment."""
    target, _, id_ = patient.partition("/")
    if type_ == "Patient":
        return Criterion(ID, (Token(None, id_),))
    param = compartment_params(type_)
    return None if param is None else Criterion(param, (ReferenceTo(target, id_, ""),))


def index_rows(driver: Driver, type_: str, dialect: str) -> DriverRows:
    """Return the index rows of what has some.

    Raises:
        TypeError: It has none.
    """
    rows = driver_rows(driver, dialect) if isinstance(driver, Criterion) else union_rows(driver, type_, dialect)
    if rows is None:
        raise TypeError("What has no index rows drives nothing.")
    return rows


def is_column(driver: Driver | None, *params: object) -> bool:
    """Whether a driver is a criterion on a column of the store: any of these, or of all there are."""
    return isinstance(driver, Criterion) and driver.param in (params or (ID, LAST_UPDATED))


def is_bounded(driver: Driver, type_: str, dialect: str) -> bool:
    """Whether its rows lie next to each other, so that counting a few is cheap."""
    return is_column(driver) or index_rows(driver, type_, dialect).bounded


def is_ordered(driver: Driver | None, dialect: str) -> bool:
    """Whether its rows are in page order."""
    return driver is None or (isinstance(driver, Criterion) and not is_column(driver) and driver_rows(driver, dialect).ordered)


def values_apart(driver: Driver, dialect: str) -> list[Criterion]:
    """Split alternatives of one criterion, each of which is in page order; none where that is not so, or they are many."""
    if not isinstance(driver, Criterion) or is_column(driver) or driver.param.type not in ("token", "reference", "uri"):
        return []
    hashes = exact_values(driver)
    if not 1 < len(hashes) <= MAX_MERGED:
        return []
    apart = [Criterion(driver.param, (Hashes((each,)),)) for each in hashes]
    return apart if all(is_ordered(each, dialect) for each in apart) else []


def estimate(session: Session, query: Query, driver: Driver | None, ranks: Ranks, limit: int) -> Estimate:
    """Count the rows of a driver up to a limit."""
    if isinstance(driver, Criterion) and driver.param is ID:
        return Estimate(len(driver.values), _NO_REACH, driver)
    dialect = session.dialect
    if is_ordered(driver, dialect):
        walk = walk_of(driver, query.type, ranks, dialect)
        found = session.one(
            f"SELECT count(*), max(x.rank) FROM (SELECT d.rank FROM {walk.sql} ORDER BY d.rank LIMIT {limit}) x", walk.params
        )
        return Estimate(int(found[0]), int(found[1] or 0), driver) if found else Estimate(0, _NO_REACH, driver)
    rows = _unordered(query.type, driver, dialect)
    found = session.one(f"SELECT count(*) FROM (SELECT 1 FROM {rows.sql} LIMIT {limit}) x", rows.params)
    return Estimate(int(found[0]) if found else 0, _NO_REACH, driver)


def _unordered(type_: str, driver: Driver | None, dialect: str) -> Condition:
    if isinstance(driver, Criterion) and driver.param is LAST_UPDATED:
        inside = condition(driver, dialect, indexed=True)
        return Condition(f"resource r WHERE r.type_id = ? AND {inside.sql}", (TYPE_IDS[type_], *inside.params))
    if driver is None:
        raise TypeError("A type is in order.")
    rows = index_rows(driver, type_, dialect).found(distinct=False)
    return Condition(f"({rows.sql}) y", rows.params)


def walk_of(driver: Driver | None, type_: str, ranks: Ranks, dialect: str) -> Condition:
    """Write FROM and WHERE, with alias d, of rows in page order."""
    bounds = ranks.conditions("d.rank")
    ends = "".join(f" AND {each.sql}" for each in bounds)
    params = [param for each in bounds for param in each.params]
    if driver is None:
        return Condition(f"resource d WHERE d.type_id = ?{ends}", (TYPE_IDS[type_], *params))
    rows = index_rows(driver, type_, dialect)
    return Condition(f"{rows.table} d WHERE {rows.where}{ends}", (*rows.params, *params))


def uncounted(driver: Driver | None, limit: int) -> Estimate:
    """Take a driver to be as unselective as any."""
    return Estimate(limit, _NO_REACH, driver)


def sparsest(estimates: Sequence[Estimate]) -> Estimate:
    """Choose the list with the fewest rows; of those that were not counted to their end, the one that reaches farthest."""
    return min(estimates, key=lambda each: (each.rows, -each.reach))
