"""A planned search as statements: a page by keyset on (sort keys, rid), everything, a count.

A plan may be worth a try first: a walk in page order as far as a number of rows, which is enough where matches are frequent.
Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chartloop.kernel.db import Session
from fhir_server.hashing import SEQUENCE_MASK
from fhir_server.search.conditions import Condition
from fhir_server.search.ordering import Key, behind

TRIED: Final = 512
"""So many rows are walked in page order before anything is counted."""

Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class Plan:
    """FROM and WHERE of a search, and its order; `explain` names what drives."""

    source: Condition
    where: tuple[Condition, ...]
    keys: tuple[Key, ...]
    rid: str
    explain: str
    walk: Condition | None = None
    """FROM and WHERE of what is walked in page order, where that has an end of its own: a try goes along it."""
    otherwise: Callable[[], Plan] | None = None
    """What is done if a try of this plan does not fill the page."""
    arms: tuple[Plan, ...] = ()
    """Plans of the same order, together the whole: each gives its first rows, and they are merged."""

    def backwards(self) -> Plan:
        """Turn the order round."""
        later = self.otherwise
        return replace(
            self,
            keys=tuple(key._replace(descending=not key.descending) for key in self.keys),
            otherwise=None if later is None else lambda: later().backwards(),
            arms=tuple(arm.backwards() for arm in self.arms),
        )

    def rows(self, session: Session, after: Row | None, snapshot: int | None, limit: int) -> Sequence[Row]:
        """Find the rows of one page: keys, rid."""
        if self.arms:
            found = {row[-1]: row for arm in self.arms for row in arm.rows(session, after, snapshot, limit)}
            return list(found.values())
        edge = self.edge(session, after)
        rows = session.all(*self.page(after, snapshot, limit, until=edge))
        if edge is None or self.otherwise is None or len(rows) == limit:
            return rows
        return self.otherwise().rows(session, after, snapshot, limit)

    def page(self, after: Row | None, snapshot: int | None, limit: int, *, until: Row | None = None) -> tuple[str, list[object]]:
        """Write the statement for one page: keys, rid; `until` is the last place that is looked at."""
        where = list(self.where)
        if after is not None:
            where.append(behind(self._places(), after))
        if until is not None:
            where.append(_up_to(self._places(), until))
        if snapshot is not None:
            where.append(Condition(f"({self.rid} & {SEQUENCE_MASK}) <= ?", (snapshot,)))
        names = ", ".join([*(key.sql for key in self.keys), self.rid])
        selected = [param for key in self.keys for param in key.params]
        text, params = written(where)
        return (
            f"SELECT {names} FROM {self.source.sql} WHERE {text} ORDER BY {self._order()} LIMIT ?",
            [*selected, *self.source.params, *params, limit],
        )

    def everything(self, limit: int) -> tuple[str, list[object]]:
        """Write the statement that lists matches in no order: public id, rid."""
        text, params = written(self.where)
        return f"SELECT r.fhir_id, r.rid FROM {self.source.sql} WHERE {text} LIMIT ?", [*self.source.params, *params, limit]

    def rids(self) -> tuple[str, list[object]]:
        """Write the statement that lists the rid of every match."""
        text, params = written(self.where)
        return f"SELECT {self.rid} FROM {self.source.sql} WHERE {text}", [*self.source.params, *params]

    def count(self) -> tuple[str, list[object]]:
        """Write the statement that counts every match."""
        text, params = written(self.where)
        return f"SELECT count(*) FROM {self.source.sql} WHERE {text}", [*self.source.params, *params]

    def edge(self, session: Session, after: Row | None) -> Row | None:
        """Find the last place of a try; None where this is none, or reaches the end."""
        return session.one(*self._to_edge(self.walk, after)) if self.walk is not None else None

    def _to_edge(self, walk: Condition, after: Row | None) -> tuple[str, list[object]]:
        places = [Key(column, (), last(self.keys)) for column in ("d.rank", "d.rid")]
        beyond = behind(places, after) if after is not None else Condition("1 = 1", ())
        return (
            f"SELECT d.rank, d.rid FROM {walk.sql} AND {beyond.sql} ORDER BY {self._order()} LIMIT 1 OFFSET {TRIED - 1}",
            [*walk.params, *beyond.params],
        )

    def _places(self) -> list[Key]:
        return [*self.keys, Key(self.rid, (), last(self.keys))]

    def _order(self) -> str:
        return ", ".join(f"{place} {'DESC' if key.descending else 'ASC'}" for place, key in enumerate(self._places(), start=1))


def last(keys: Sequence[Key]) -> bool:
    """Return the direction of rid, the last key: that of the key before it, so that one index serves both."""
    return keys[-1].descending


def written(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    """Write all of some conditions."""
    return (
        " AND ".join(each.sql for each in conditions),
        [param for each in conditions for param in each.params],
    )


def _up_to(places: Sequence[Key], until: Row) -> Condition:
    """Write "not behind this place"; the directions agree."""
    sign = ">=" if places[0].descending else "<="
    return Condition(f"({', '.join(place.sql for place in places)}) {sign} ({', '.join('?' * len(places))})", tuple(until))
