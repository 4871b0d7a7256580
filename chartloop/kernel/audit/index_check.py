"""Whether the index says what the records say: a row that somebody took out would hide a record from whoever asks by patient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from chartloop.kernel.audit.findings import Findings
from chartloop.kernel.audit.index import entities_of, patients_of
from chartloop.kernel.audit.record import Kept
from chartloop.kernel.db_session import Session

_MASK: Final = 2**64 - 1
_TABLES: Final = {
    "audit_entry": "SELECT seq, recorded, action, outcome, interaction, agent FROM audit_entry WHERE seq >= ? AND seq <= ?",
    "audit_patient": "SELECT patient, seq FROM audit_patient WHERE seq >= ? AND seq <= ?",
    "audit_entity": "SELECT entity, seq FROM audit_entity WHERE seq >= ? AND seq <= ?",
}
_NAMES: Final = {"audit_entry": "by agent, kind and time", "audit_patient": "by patient", "audit_entity": "by entity"}


class IndexCheck:
    """Sums over the rows that must be there, in any order; two sets of rows with one sum are not found by trying."""

    def __init__(self, start: int) -> None:
        """Look at records from a number on: older ones were let go of, or are not indexed yet."""
        self._start = start
        self._sums = dict.fromkeys(_TABLES, 0)
        self._unread: set[int] = set()

    def add(self, seq: int, kept: Kept | None) -> None:
        """Take one record; of one that cannot be read (its key is gone) the index may say what it said."""
        if seq < self._start:
            return
        if kept is None:
            self._unread.add(seq)
            return
        records = [(seq, kept)]
        self._count("audit_entry", [(seq, kept.recorded, kept.action, kept.outcome, kept.interaction, kept.agent)])
        self._count("audit_patient", patients_of(records))
        self._count("audit_entity", entities_of(records))

    def finish(self, session: Session, size: int, findings: Findings) -> None:
        """Compare with the tables."""
        for table, sql in _TABLES.items():
            place = 0 if table == "audit_entry" else 1
            there = sum(hash(tuple(row)) for row in session.each(sql, (self._start, size)) if row[place] not in self._unread)
            if (there - self._sums[table]) & _MASK:
                findings.note(f"The index {_NAMES[table]} does not say what the records say: rows of {table} are missing, altered or were put in.")

    def _count(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._sums[table] += sum(map(hash, rows))
