"""Read sealed records of the audit log back, the newest first; those that the vault has sealed are opened."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from chartloop.kernel.audit.record import opened
from chartloop.kernel.audit.segment import HEADER_SIZE, unframe
from chartloop.kernel.db_session import Row, Session
from chartloop.kernel.vault.envelope import Altered

_LENGTH_BYTES = 4
_END = 2**62
_CHUNK = 500


class SealedRecord(NamedTuple):
    """A record as it was recorded; the number is its place in the log."""

    seq: int
    body: bytes


def sealed_records(session: Session, directory: Path, before: int | None, limit: int) -> list[SealedRecord]:
    """Read records below a number; one whose bytes are gone or altered is left out (verification names it).

    Args:
        session: Where changes and the log's order are.
        directory: Where the journal's segments are.
        before: Read below this number; None begins at the end of the log.
        limit: Most records.

    Raises:
        Unavailable: Records are sealed by the vault, and the session has none.
    """
    below = _END if before is None else before
    return _read(session, directory, session.all("SELECT seq, source, position FROM audit_leaf WHERE seq < ? ORDER BY seq DESC LIMIT ?", (below, limit)))


def records_at(session: Session, directory: Path, numbers: Sequence[int]) -> list[SealedRecord]:
    """Read records by their numbers, the newest first; one whose bytes are gone or altered is left out."""
    rows: list[Row] = []
    for at in range(0, len(numbers), _CHUNK):
        part = numbers[at : at + _CHUNK]
        rows += session.all(f"SELECT seq, source, position FROM audit_leaf WHERE seq IN ({', '.join('?' * len(part))})", part)
    return _read(session, directory, sorted(rows, reverse=True))


def _read(session: Session, directory: Path, rows: Sequence[Row]) -> list[SealedRecord]:
    stored, found = record_bytes(session, directory, rows), []
    for seq, _, _ in rows:
        if int(seq) in stored:
            with suppress(Altered):
                found.append(SealedRecord(int(seq), opened(*stored[int(seq)], session.columns.vault)))
    return found


def record_bytes(session: Session, directory: Path, rows: Sequence[Row]) -> dict[int, tuple[int, bytes]]:
    """Read the codec and the stored bytes of records by their number; those that are gone are left out.

    Args:
        session: Where changes are.
        directory: Where the journal's segments are.
        rows: Number, source and position of each.
    """
    names = {int(number): str(name) for number, name in session.all("SELECT id, name FROM audit_segment")}
    changes = _changes(session, [position for _, source, position in rows if source == 0])
    found: dict[int, tuple[int, bytes]] = {}
    for seq, source, position in rows:
        kept = changes.get(position) if source == 0 else _access(directory / names.get(source, ""), position)
        if kept is not None:
            found[int(seq)] = kept
    return found


def _changes(session: Session, numbers: Sequence[int]) -> dict[int, tuple[int, bytes]]:
    found: dict[int, tuple[int, bytes]] = {}
    for at in range(0, len(numbers), _CHUNK):
        part = numbers[at : at + _CHUNK]
        rows = session.all(f"SELECT seq, codec, body FROM audit_change WHERE seq IN ({', '.join('?' * len(part))})", part)
        found.update((int(seq), (int(codec), bytes(body))) for seq, codec, body in rows)
    return found


def _access(file: Path, position: int) -> tuple[int, bytes] | None:
    if not file.is_file():
        return None
    with file.open("rb") as segment:
        segment.seek(position)
        head = segment.read(HEADER_SIZE)
        length = int.from_bytes(head[:_LENGTH_BYTES], "little")
        framed = unframe(head + segment.read(length))
    return (framed.codec, framed.body) if framed else None
