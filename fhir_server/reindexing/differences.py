"""What differs between the index rows of some resources and what their bodies say, and the correction of it.

A row is judged by a body that was read in the same snapshot. It is written or removed in a later transaction, if the resource is still
at that version: whoever writes a resource keeps its rows right from there on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import msgspec

from chartloop.kernel.access.rows import EVERYTHING
from chartloop.kernel.db import Session, Tx
from chartloop.kernel.vault.vault import Destroyed
from fhir_server.hashing import value_hash
from fhir_server.indexing.rows import INDEX_TABLES, INHERITS, IndexRows, store_units
from fhir_server.indexing.units import KnownUnit
from fhir_server.indexing.words import Word
from fhir_server.preparing import inherited, stored_rows
from fhir_server.rows import Row, at_version, by_rids
from fhir_server.store import Store

T = TypeVar("T")
Entry = tuple[object, ...]
"""A row of an index table; the rid is its last value."""

BY_VALUE: Final = tuple(name for name, (_, columns) in INDEX_TABLES.items() if "rank" in columns)
"""Tables in which the rows of a resource are not found by its rid."""

BY_RESOURCE: Final = tuple(name for name in INDEX_TABLES if name not in BY_VALUE)

_AT_ONCE: Final = 200


class Judged(NamedTuple):
    """A resource as it was read, and the index rows that it should have."""

    row: Row
    expected: IndexRows


@dataclass(slots=True)
class Differences:
    """Rows that are missing and rows that nothing justifies, by field of IndexRows; ranks that are wrong; versions judged."""

    missing: dict[str, list[Entry]] = field(default_factory=dict)
    extra: dict[str, list[Entry]] = field(default_factory=dict)
    ranks: dict[int, int] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    units: list[KnownUnit] = field(default_factory=list)
    words: set[Word] = field(default_factory=set)
    """Units of measure that no list has."""

    def count(self) -> int:
        """How many rows are wrong."""
        return sum(map(len, self.missing.values())) + sum(map(len, self.extra.values())) + len(self.ranks) + len(self.units)

    def rids(self) -> list[int]:
        """Resources whose rows are wrong."""
        entries = [entry for table in (self.missing, self.extra) for listed in table.values() for entry in listed]
        return sorted({int(str(entry[-1])) for entry in entries} | set(self.ranks))


def judged(session: Session, store: Store, rids: Sequence[int]) -> dict[int, Judged]:
    """Read resources and make their index rows anew."""
    return {rid: Judged(row, stored_rows(store, row)[1]) for rid, row in by_rids(session, rids).items()}


def with_heritage(session: Session, store: Store, found: Mapping[int, Judged]) -> dict[int, Judged]:
    """Add what earlier versions took labels over from: those rows stay, because earlier versions stay readable."""
    added = dict(found)
    for rid, each in found.items():
        if each.row.version > 1:
            heritage = {(INHERITS, value_hash(reference), 0) for reference in _inherited(session, store, each.row)}
            added[rid] = each._replace(expected=each.expected._replace(reference=each.expected.reference | heritage))
    return added


def _inherited(session: Session, store: Store, row: Row) -> set[str]:
    references: set[str] = set()
    for version in range(1, row.version):
        old = at_version(session, row.type, row.id, version, EVERYTHING)
        if old is not None and not old.deleted:
            with suppress(Destroyed):
                body = store.codec.unpack(old.codec, old.dict_id, old.packed, old.place)
                references |= inherited(store, old.type, msgspec.json.decode(body))
    return references


def missing_of(session: Session, found: Mapping[int, Judged], numbers: Collection[int] = ()) -> Differences:
    """Find the rows that are missing; `numbers` narrow it to some parameters."""
    differences = Differences(versions={rid: each.row.version for rid, each in found.items()})
    for name in INDEX_TABLES:
        wanted = _expected(found, name, numbers)
        there = _stored(session, name, wanted)
        if absent := sorted(wanted - there, key=repr):
            differences.missing[name] = absent
    differences.words = {word for each in found.values() for word in each.expected.words}
    differences.units = _unknown(session, {unit for each in found.values() for unit in each.expected.units})
    return differences


def differences_of(session: Session, found: Mapping[int, Judged]) -> Differences:
    """Find what differs, but for the rows nothing justifies in tables that are not found by resource."""
    differences = missing_of(session, found)
    for name in INDEX_TABLES:
        if name in BY_RESOURCE and (extra := sorted(_rows_of(session, name, found) - _expected(found, name, ()), key=repr)):
            differences.extra[name] = extra
    for rid, rank in _ranks(session, found).items():
        if rank != found[rid].expected.rank:
            differences.ranks[rid] = found[rid].expected.rank
    return differences


def unjustified(found: Mapping[int, Judged], name: str, entries: Iterable[Entry]) -> Differences:
    """Find which rows of one table no body says."""
    extra = [entry for entry in entries if not _says(found.get(int(str(entry[-1]))), name, entry)]
    versions = {rid: each.row.version for rid, each in found.items()}
    return Differences(extra={name: extra} if extra else {}, versions=versions)


def alone(session: Session, name: str, rids: Sequence[int]) -> Differences:
    """Find the rows of one table whose resource does not exist."""
    known = _ranks(session, rids)
    extra = sorted(_rows_of(session, name, [rid for rid in rids if rid not in known]), key=repr)
    return Differences(extra={name: extra} if extra else {})


def correct(tx: Tx, differences: Differences) -> bool:
    """Write what is missing and remove what is too much; False, and nothing done, where a resource has changed since."""
    rids = differences.rids()
    if _versions(tx, rids) != {rid: differences.versions[rid] for rid in rids if rid in differences.versions}:
        return False
    for name, entries in differences.extra.items():
        table, columns = INDEX_TABLES[name]
        tx.many(f"DELETE FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in (*columns, 'rid'))}", entries)
    for name, entries in differences.missing.items():
        table, columns = INDEX_TABLES[name]
        marks = ", ".join("?" * (len(columns) + 1))
        tx.many(f"INSERT INTO {table} ({', '.join(columns)}, rid) VALUES ({marks}) ON CONFLICT DO NOTHING", entries)
    store_units(tx, differences.units)
    if differences.ranks:
        tx.many("UPDATE resource SET rank = ? WHERE rid = ?", [(rank, rid) for rid, rank in differences.ranks.items()])
    return True


def _expected(found: Mapping[int, Judged], name: str, numbers: Collection[int]) -> set[Entry]:
    return {(*row, rid) for rid, each in found.items() for row in getattr(each.expected, name) if not numbers or row[0] in numbers}


def _says(judgement: Judged | None, name: str, entry: Entry) -> bool:
    return judgement is not None and entry[:-1] in getattr(judgement.expected, name)


def _stored(session: Session, name: str, entries: Iterable[Entry]) -> set[Entry]:
    """Look which of some rows are there."""
    table, columns = INDEX_TABLES[name]
    keys = (*columns, "rid")
    names, same = ", ".join(f"t.{key}" for key in keys), " AND ".join(f"t.{key} = w.{key}" for key in keys)
    found: set[Entry] = set()
    for part in _parts(sorted(entries, key=repr)):
        marks = ", ".join([f"({', '.join('?' * len(keys))})"] * len(part))
        # A join, because SQLite walks the whole table for a row value in a list.
        sql = f"WITH w ({', '.join(keys)}) AS (VALUES {marks}) SELECT {names} FROM w CROSS JOIN {table} t WHERE {same}"
        found.update(session.all(sql, [value for entry in part for value in entry]))
    return found


def _rows_of(session: Session, name: str, rids: Iterable[int]) -> set[Entry]:
    """Read every row of some resources; those of no parameter stay whatever a body says."""
    table, columns = INDEX_TABLES[name]
    found: set[Entry] = set()
    for part in _parts(list(rids)):
        sql = f"SELECT {', '.join(columns)}, rid FROM {table} WHERE rid IN ({', '.join('?' * len(part))})"
        found.update(row for row in session.all(sql, part) if row[0] != INHERITS)
    return found


def _unknown(session: Session, units: Collection[KnownUnit]) -> list[KnownUnit]:
    known: set[int] = set()
    for part in _parts(sorted(each.unit for each in units)):
        known.update(row[0] for row in session.all(f"SELECT unit FROM known_unit WHERE unit IN ({', '.join('?' * len(part))})", part))
    return [unit for unit in sorted(units) if unit.unit not in known]


def _ranks(session: Session, rids: Iterable[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for part in _parts(list(rids)):
        found.update(session.all(f"SELECT rid, rank FROM resource WHERE rid IN ({', '.join('?' * len(part))})", part))
    return found


def _versions(tx: Tx, rids: Sequence[int]) -> dict[int, int]:
    """Take resources in the order of their rids, as writes do, and read their versions."""
    lock = " FOR UPDATE" if tx.dialect == "postgresql" else ""
    found: dict[int, int] = {}
    for part in _parts(rids):
        sql = f"SELECT rid, version FROM resource WHERE rid IN ({', '.join('?' * len(part))}) ORDER BY rid{lock}"
        found.update(tx.all(sql, part))
    return found


def _parts(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
