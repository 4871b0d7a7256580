"""Read sealed records of the audit log back, the newest first."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from chartloop.kernel.audit.segment import HEADER_SIZE, unframe
from chartloop.kernel.db_session import Session

_LENGTH_BYTES = 4
_END = 2**62


class SealedRecord(NamedTuple):
    """A record as it was kept; the number is its place in the log."""

    seq: int
    body: bytes
    codec: int = 0
    """How the body is kept: Audit.opened(codec, body) reads it."""


def sealed_records(session: Session, directory: Path, before: int | None, limit: int) -> list[SealedRecord]:
    """Read records below a number; one whose bytes are gone or altered is left out (verification names it).

    Args:
        session: Where changes and the log's order are.
        directory: Where the journal's segments are.
        before: Read below this number; None begins at the end of the log.
        limit: Most records.
    """
    below = _END if before is None else before
    rows = session.all("SELECT seq, source, position FROM audit_leaf WHERE seq < ? ORDER BY seq DESC LIMIT ?", (below, limit))
    names = {int(number): str(name) for number, name in session.all("SELECT id, name FROM audit_segment")}
    found = []
    for seq, source, position in rows:
        kept = _change(session, position) if source == 0 else _access(directory / names.get(source, ""), position)
        if kept is not None:
            found.append(SealedRecord(int(seq), *kept))
    return found


def _change(session: Session, seq: int) -> tuple[bytes, int] | None:
    row = session.one("SELECT body, codec FROM audit_change WHERE seq = ?", (seq,))
    return (bytes(row[0]), int(row[1])) if row else None


def _access(file: Path, position: int) -> tuple[bytes, int] | None:
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        opened.seek(position)
        head = opened.read(HEADER_SIZE)
        length = int.from_bytes(head[:_LENGTH_BYTES], "little")
        framed = unframe(head + opened.read(length))
    return (framed.body, framed.codec) if framed else None
