"""Checking what no tree head covers yet, and what should be covered and is not."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from chartloop.kernel.audit.findings import Findings
from chartloop.kernel.audit.record import leaf_of, opened
from chartloop.kernel.audit.segment import HEADER_SIZE, MAGIC, frames, segments
from chartloop.kernel.db_session import Session
from chartloop.kernel.vault.envelope import Altered

_GAP = 16
_AT_ONCE = 2000
_STRAYS = (
    "SELECT c.seq FROM audit_change c LEFT JOIN audit_leaf a ON a.source = 0 AND a.position = c.seq"
    " WHERE a.seq IS NULL AND (c.xid, c.seq) <= (?, ?) ORDER BY c.seq"
)


def check_changes(session: Session, cursor: tuple[int, int], sealed: int, findings: Findings) -> int:
    """Check rows beyond the sealed ones, and that nothing was put among those; count the former."""
    row = session.one("SELECT count(*) FROM audit_change WHERE (xid, seq) <= (?, ?)", cursor)
    if row and row[0] > sealed:
        for (seq,) in session.all(_STRAYS, cursor):
            findings.note(f"Change row {seq}: it was put among sealed records and is not one of them.")
    count = 0
    for seq, leaf, body in session.each("SELECT seq, leaf, body FROM audit_change WHERE (xid, seq) > (?, ?) ORDER BY xid, seq", cursor):
        count += 1
        if leaf_of(body) != leaf:
            findings.note(f"Change row {seq}: it is not sealed yet and was altered.")
    return count


def check_segments(directory: Path, sealed: dict[str, int], findings: Findings) -> int:
    """Check records beyond the sealed part of each segment; count them."""
    count = 0
    for file in segments(directory):
        base = sealed.get(file.name, len(MAGIC))
        with file.open("rb") as opened:
            magic = opened.read(len(MAGIC))
            opened.seek(base)
            data = opened.read()
        if magic != MAGIC[: len(magic)]:
            if any(magic) or any(data):  # else it was being made when its process was killed
                findings.note(f"{file.name}: this is no journal segment.")
            continue
        end = base
        for framed in frames(data, base):
            count, end = count + 1, framed.end
        if _was_altered(data[end - base :]):
            findings.note(f"{file.name}: a record that is not sealed yet was altered at byte {end}.")
    return count


def _was_altered(rest: bytes) -> bool:
    """Whether what follows the last readable record was once whole.

    What a killed process or a lost power supply tore was never acknowledged and is no problem: it ends early, or the zeros that were
    there before show through; records hold no zero bytes of their own.
    """
    end = HEADER_SIZE + int.from_bytes(rest[:4], "little")
    return any(rest[:HEADER_SIZE]) and end <= len(rest) and bytes(_GAP + 1) not in rest[: end + _GAP]


def check_versions(session: Session, versions: Iterable[str], findings: Findings) -> None:
    """Check that each stored version has the record of its change; sealed records are opened for it."""
    recorded: set[str] = set()
    for codec, body in _changes(session):
        try:
            recorded.update(msgspec.json.decode(opened(codec, body, session.columns.vault))["targets"])
        except (Altered, msgspec.DecodeError, KeyError, TypeError):
            continue  # reported as altered already
    for version in versions:
        if version not in recorded:
            findings.note(f"{version}: it is stored, but no change is recorded for it.")


def _changes(session: Session) -> Iterator[tuple[int, bytes]]:
    """Yield codec and body of every change; a part at a time, for opening one may ask for its key on the same connection."""
    after = 0
    while rows := session.all("SELECT seq, codec, body FROM audit_change WHERE seq > ? ORDER BY seq LIMIT ?", (after, _AT_ONCE)):
        yield from ((int(codec), bytes(body)) for _, codec, body in rows)
        after = int(rows[-1][0])
