"""The rows of one compartment that a reader may see, by the references that put them there.

Spec: https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from fhir_server.hashing import SEQUENCE_MASK, value_hash
from fhir_server.indexing.dates import OPEN_HIGH, OPEN_LOW
from fhir_server.indexing.rows import clinical_date
from fhir_server.search.conditions import Condition
from fhir_server.search.params import SearchParam, for_type
from fhir_server.spec.definitions import r4
from fhir_server.store import Store
from fhir_server.type_filters import readable

NO_CONDITION = Condition("1=1", ())


class Compartment(NamedTuple):
    """FROM and WHERE of what is in a compartment besides the resource that it is about."""

    source: Condition
    where: Condition

    def page(self, session: Session, narrowed: Condition, after: int, snapshot: int, limit: int) -> list[int]:
        """Find the next rids, in the order of the rids; nothing that was made after the snapshot."""
        sql = (
            f"SELECT r.rid FROM {self.source.sql} WHERE {self.where.sql} AND {narrowed.sql} "
            f"AND r.rid > ? AND (r.rid & {SEQUENCE_MASK}) <= ? ORDER BY r.rid LIMIT ?"
        )
        params = (*self.source.params, *self.where.params, *narrowed.params, after, snapshot, limit)
        return [int(row[0]) for row in session.all(sql, params)]


def compartment(store: Store, scope: Scope, reference: str, rid: int, care: Condition = NO_CONDITION) -> Compartment | None:
    """Write the statement for the compartment of a resource; None where this reader may see nothing in it.

    A reference that is hidden from this reader puts nothing into it.
    """
    params = _references(store, scope, reference.partition("/")[0])
    seen = readable(store, scope, params)
    if seen is None:
        return None
    numbers = sorted({param.id for each in params.values() for param in each})
    found = f"SELECT DISTINCT d.rid FROM idx_reference d WHERE d.param IN ({', '.join(map(str, numbers))}) AND d.value = ?"
    source = Condition(f"({found}) d CROSS JOIN resource r", (value_hash(reference),))
    where = f"r.rid = d.rid AND r.deleted = 0 AND r.rid <> ? AND {seen.sql} AND {care.sql}"
    return Compartment(source, Condition(where, (rid, *seen.params, *care.params)))


def care_dates(store: Store, scope: Scope, start: int | None, end: int | None) -> Condition:
    """Write "about care in this range", in microseconds; what has no date stays, and what hides its date from this reader."""
    if start is None and end is None:
        return NO_CONDITION
    numbers = [param.id for type_ in sorted(r4().compartment("Patient")) if (param := _care_date(store, scope, type_))]
    if not numbers:
        return NO_CONDITION
    dated = f"SELECT 1 FROM idx_date t WHERE t.rid = r.rid AND t.param IN ({', '.join(map(str, numbers))})"
    inside = f"{dated} AND t.high > ? AND t.low < ?"
    low, high = OPEN_LOW if start is None else start, OPEN_HIGH if end is None else end
    return Condition(f"(NOT EXISTS ({dated}) OR EXISTS ({inside}))", (low, high))


def _care_date(store: Store, scope: Scope, type_: str) -> SearchParam | None:
    param = clinical_date(type_)
    if param is None or param.code == "birthdate" or not store.access.searchable(scope, type_, param.paths):
        return None
    return param


def _references(store: Store, scope: Scope, code: str) -> dict[str, Sequence[SearchParam]]:
    """Parameters that this reader may follow into a compartment, per type."""
    found: dict[str, Sequence[SearchParam]] = {}
    for type_, codes in r4().compartment(code).items():
        built = for_type(type_)
        params = [built[each] for each in codes if each in built]
        shown = [param for param in params if param.type == "reference" and store.access.searchable(scope, type_, param.paths)]
        if shown:
            found[type_] = shown
    return found
