"""Read and write the table of grants."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from chartloop.kernel import clock, ids
from chartloop.kernel.access.grants import GLASS, Grant
from chartloop.kernel.db_session import Database, Session, Tx

_COLUMNS: Final = "kind, patient, actor, session, client, purpose, label, type_id, target, starts, ends, source, node, parent, reason"
_MARKS: Final = ", ".join("?" * 17)
_INSERT: Final = f"INSERT INTO access_grant (id, recorded, {_COLUMNS}) VALUES ({_MARKS})"
_AT_ONCE: Final = 200


class GrantTable:
    """The grants of a database, read by one statement where a decision needs them."""

    def __init__(self, database: Database, type_names: Mapping[int, str]) -> None:
        """Take the database, and the numbers of the resource types in it."""
        self._database = database
        self._names = type_names

    def of(self, patients: Collection[str], user: str) -> Sequence[Grant]:
        """Grants on these patients that concern this user or anybody, of whatever time."""
        wanted = sorted({patient for patient in patients if patient})
        if not wanted:
            return ()
        with self._database.read() as session:
            parts = [wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE)]
            return [grant for part in parts for grant in self._part(session, part, user)]

    def _part(self, session: Session, patients: Sequence[str], user: str) -> list[Grant]:
        # The kinds are named, because they lead the index.
        sql = (
            f"SELECT {_COLUMNS} FROM access_grant WHERE kind IN (1, 2, 3, 4, 5, 6, 7) AND patient IN ({', '.join('?' * len(patients))}) "
            f"AND actor IN ('', ?) AND ends > ?"
        )
        return [self.grant(row) for row in session.all(sql, (*patients, user, clock.now_us()))]

    def grant(self, row: Sequence[Any]) -> Grant:
        """Read a row as it was selected."""
        return _grant(row, self._names)


def _grant(row: Sequence[Any], type_names: Mapping[int, str]) -> Grant:
    return Grant._make((*row[:7], type_names[row[7]] if row[7] else "", *row[8:]))


def add(tx: Tx, grants: Iterable[Grant], type_ids: Mapping[str, int]) -> None:
    """Store grants."""
    now = clock.now_us()
    rows = [(ids.public_id(), now, *grant[:7], type_ids[grant.type] if grant.type else 0, *grant[8:]) for grant in grants]
    if rows:
        tx.many(_INSERT, rows)


def of_source(session: Session, source: str, type_names: Mapping[int, str]) -> list[Grant]:
    """Grants that one resource made."""
    found = session.all(f"SELECT {_COLUMNS} FROM access_grant WHERE source = ?", (source,))
    return [_grant(row, type_names) for row in found]


def remove_source(tx: Tx, source: str) -> int:
    """Take away what one resource made; returns how many."""
    return tx.run("DELETE FROM access_grant WHERE source = ?", (source,))


def end_session(tx: Tx, session: str) -> int:
    """Mend the glass that a session broke; returns how many."""
    if not session:
        return 0
    now = clock.now_us()
    return tx.run("UPDATE access_grant SET ends = ? WHERE session = ? AND kind = ? AND ends > ?", (now, session, GLASS, now))
