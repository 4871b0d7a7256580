"""Every row of every index table, as it is and as it would be made anew from the stored bodies."""

from __future__ import annotations

from collections import Counter

from fhir_server.indexing.rows import _TABLES
from fhir_server.preparing import stored_rows
from fhir_server.rows import by_rids
from fhir_server.store import Store

Rows = dict[str, Counter[tuple[object, ...]]]


def index_as_it_is(store: Store) -> Rows:
    """(columns…, rid) of each table."""
    with store.db.read() as session:
        return {
            name: Counter(tuple(row) for row in session.all(f"SELECT {', '.join(columns)}, rid FROM {table}"))
            for name, (table, columns) in _TABLES.items()
        }


def index_made_anew(store: Store) -> Rows:
    """The same, extracted from the bodies of all current resources."""
    made: Rows = {name: Counter() for name in _TABLES}
    with store.db.read() as session:
        rids = [int(row[0]) for row in session.all("SELECT rid FROM resource WHERE deleted = 0")]
        for start in range(0, len(rids), 500):
            for rid, row in by_rids(session, rids[start : start + 500]).items():
                rows = stored_rows(store, row)[1]
                for name in _TABLES:
                    made[name].update((*each, rid) for each in getattr(rows, name))
    return made


def words_that_are_missing(store: Store) -> set[tuple[object, ...]]:
    """Words of current resources that the vocabulary does not have; it may have more."""
    with store.db.read() as session:
        known = {tuple(row) for row in session.all("SELECT param, kind, word, value FROM vocabulary")}
        rids = [int(row[0]) for row in session.all("SELECT rid FROM resource WHERE deleted = 0")]
        return {word for row in by_rids(session, rids).values() for word in stored_rows(store, row)[1].words} - known


def assert_index_is_what_a_rebuild_makes(store: Store) -> None:
    """Compare both; a difference names the table and the first rows."""
    there, wanted = index_as_it_is(store), index_made_anew(store)
    for name, rows in wanted.items():
        assert list((there[name] - rows).items())[:3] == [], f"{name}: rows that no body makes"
        assert list((rows - there[name]).items())[:3] == [], f"{name}: rows that are missing"
    assert words_that_are_missing(store) == set()
