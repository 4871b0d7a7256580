"""Letting go of old records: their bytes go, their hashes and the signed heads stay, so that the rest still verifies.

What goes is said in the log itself, by a tombstone that is sealed like any record: up to which number, in which segments, and what was
old enough. Without it a missing record is a missing record.
Spec: 45 CFR 164.316(b)(2)(i) (six years)
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit import state
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.record import AuditRecord, leaf_of, read_kept
from chartloop.kernel.db_session import Database, Session, Tx

PRUNED: Final = "audit-pruned"
YEAR_US: Final = 31_557_600_000_000
_SEALER: Final = Subject(id="engine:audit", role="")
_UP_TO: Final = "audit/records/1-"
_SEGMENT: Final = "audit/segment/"
_BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class Pruned:
    """What the tombstones of a log say.

    Attributes:
        size: Records up to this number were let go of; 0: none.
        before: They were recorded before this microsecond.
        segments: Names of the segments that were removed.
    """

    size: int = 0
    before: int = 0
    segments: frozenset[str] = frozenset()


def prune(database: Database, data: Path, years: float) -> int:
    """Let go of what is older than so many years; return up to which number, 0 where nothing is old enough.

    A segment goes when every record in it may go. What a run that was cut off left is removed by the next one.
    """
    if years <= 0:
        return 0
    before = clock.now_us() - round(years * YEAR_US)
    directory = audit_directory(data)
    with database.read(snapshot=True) as session:
        known = tombstones(session)
        row = session.one("SELECT max(size) FROM audit_head WHERE recorded < ? AND size > ?", (before, known.size))
        size = int(row[0]) if row and row[0] else 0
        names = _segments_below(session, size) if size else []
    if size:
        database.write(lambda tx: _bury(tx, size, before, names))
    _remove(database, directory, max(size, known.size), known.segments | set(names))
    return size


def tombstones(session: Session) -> Pruned:
    """Read what was let go of from the records that say it; one that was altered says nothing."""
    found = Pruned()
    for number in filter(None, state.value(session, PRUNED).split(" ")):
        row = session.one("SELECT leaf, body FROM audit_change WHERE seq = ?", (int(number),))
        kept = read_kept(bytes(row[1])) if row and leaf_of(bytes(row[1])) == bytes(row[0]) else None
        if kept is None or kept.interaction != PRUNED or not kept.targets[0].removeprefix(_UP_TO).isdecimal() or not kept.query.isdecimal():
            continue
        names = {target.removeprefix(_SEGMENT) for target in kept.targets[1:]}
        found = Pruned(max(found.size, int(kept.targets[0].removeprefix(_UP_TO))), max(found.before, int(kept.query)), found.segments | names)
    return found


def _segments_below(session: Session, size: int) -> list[str]:
    """Name the segments of which every sealed record may go, but for the last one of each process: it may still be written."""
    rows = session.all(
        "SELECT s.name FROM audit_segment s WHERE EXISTS (SELECT 1 FROM audit_leaf l WHERE l.source = s.id AND l.seq <= ?)"
        " AND NOT EXISTS (SELECT 1 FROM audit_leaf l WHERE l.source = s.id AND l.seq > ?) AND s.id < (SELECT max(id) FROM audit_segment) ORDER BY s.id",
        (size, size),
    )
    return [str(name) for (name,) in rows]


def _bury(tx: Tx, size: int, before: int, names: list[str]) -> None:
    targets = (f"{_UP_TO}{size}", *(f"{_SEGMENT}{name}" for name in names))
    Audit.plain(tx, AuditRecord("D", PRUNED, "0", _SEALER, targets, (), str(before)))
    row = tx.one("SELECT max(seq) FROM audit_change")
    state.remember(tx, PRUNED, f"{state.value(tx, PRUNED)} {row[0] if row else 0}".strip())


def _remove(database: Database, directory: Path, size: int, names: frozenset[str] | set[str]) -> None:
    """Remove the bytes, in short transactions; tombstones stay, though they are records of a time that may itself grow old."""
    if not size:
        return
    while database.write(lambda tx: _remove_changes(tx, size)):
        pass
    for table in ("audit_entry", "audit_patient", "audit_entity"):
        database.write(lambda tx, table=table: tx.run(f"DELETE FROM {table} WHERE seq <= ?", (size,)))  # type: ignore[misc]
    for name in names:
        with suppress(FileNotFoundError):
            (directory / name).unlink()


def _remove_changes(tx: Tx, size: int) -> int:
    kept = [int(number) for number in state.value(tx, PRUNED).split(" ") if number]
    rows = tx.all(
        f"SELECT c.seq FROM audit_change c JOIN audit_leaf l ON l.source = 0 AND l.position = c.seq"
        f" WHERE l.seq <= ? AND c.seq NOT IN ({', '.join('?' * len(kept))}) LIMIT {_BATCH}",
        (size, *kept),
    )
    tx.many("DELETE FROM audit_change WHERE seq = ?", rows)
    return len(rows)
