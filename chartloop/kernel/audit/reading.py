"""Read sealed records of the audit log back, the newest first; those that the vault has sealed are opened."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from chartloop.kernel.audit.record import opened
from chartloop.kernel.audit.segment import HEADER_SIZE, unframe
from chartloop.kernel.db_session import Session
from chartloop.kernel.vault.envelope import Altered

_LENGTH_BYTES = 4
_END = 2**62


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
    rows = session.all("SELECT seq, source, position FROM audit_leaf WHERE seq < ? ORDER BY seq DESC LIMIT ?", (below, limit))
    names = {int(number): str(name) for number, name in session.all("SELECT id, name FROM audit_segment")}
    found = []
    for seq, source, position in rows:
        kept = _change(session, position) if source == 0 else _access(directory / names.get(source, ""), position)
        with suppress(Altered):
            if kept is not None:
                found.append(SealedRecord(int(seq), opened(*kept, session.columns.vault)))
    return found


def _change(session: Session, seq: int) -> tuple[int, bytes] | None:
    row = session.one("SELECT codec, body FROM audit_change WHERE seq = ?", (seq,))
    return (int(row[0]), bytes(row[1])) if row else None


def _access(file: Path, position: int) -> tuple[int, bytes] | None:
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        opened.seek(position)
        head = opened.read(HEADER_SIZE)
        length = int.from_bytes(head[:_LENGTH_BYTES], "little")
        framed = unframe(head + opened.read(length))
    return (framed.codec, framed.body) if framed else None
