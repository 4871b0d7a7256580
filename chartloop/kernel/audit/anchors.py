"""Where tree heads are kept outside the database, and whether somebody turned those places, or the log, back.

Each place is a file that only grows. What it ends with must be in the log; it must not end before what was published there; and no two
places may tell of different logs of one size.
Spec: https://www.rfc-editor.org/rfc/rfc6962#section-7.3 (a log that shows different views to different people)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chartloop.kernel.audit import state
from chartloop.kernel.audit.heads import TreeHead, append_heads, appending, head_of
from chartloop.kernel.db_session import Database, Session, Tx

MISMATCH: Final = "anchor-mismatch"
"""Name of the state, and interaction of the record: sealing stopped for it."""
RESET: Final = "anchor-reset"

_COLUMNS: Final = "size, root, recorded, previous, signature"
_PUBLISHED: Final = "published:"
_TAIL_BYTES: Final = 4096


def heads_files(directory: Path, heads_file: Path | None, anchor_file: Path | None) -> tuple[Path, ...]:
    """List the places: the heads file, and the second location where there is one."""
    return (heads_file or directory / "heads.jsonl", *([anchor_file] if anchor_file else []))


class Anchors:
    """The places of one log."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Take the files."""
        self._files = tuple(files)
        self._ends: dict[Path, TreeHead] = {}

    def problems(self, database: Database) -> list[str]:
        """Say what speaks against the log or against a place; nothing where all agree.

        What was published is read before the places, and the log after them: both only grow, whoever else seals and publishes meanwhile.
        """
        with database.read() as session:
            published = {file: int(state.value(session, _name(file)) or 0) for file in self._files}
        ends = {file: last_head(file) for file in self._files}
        with database.read() as session:
            return [said for file in self._files for said in _against(session, file, ends[file], max(published[file], self._seen(file)))]

    def publish(self, session: Session) -> None:
        """Append what a place does not have yet, that of a run that was cut off too; a place that fails does not hold up another."""
        failed: OSError | None = None
        for file in self._files:
            try:
                self._append(session, file)
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed

    def remember(self, tx: Tx) -> None:
        """Remember, with the next head, how far each place is."""
        for file, head in self._ends.items():
            state.remember(tx, _name(file), str(head.size))

    def _seen(self, file: Path) -> int:
        return self._ends[file].size if file in self._ends else 0

    def _append(self, session: Session, file: Path) -> None:
        with appending(file) as handle:
            end = last_head(file)
            rows = session.all(f"SELECT {_COLUMNS} FROM audit_head WHERE size > ? ORDER BY size", (end.size if end else 0,))
            if rows:
                heads = [TreeHead(*row) for row in rows]
                append_heads(handle, heads)
                end = heads[-1]
        if end is not None:
            self._ends[file] = end


def _name(file: Path) -> str:
    return f"{_PUBLISHED}{file.resolve()}"


def _against(session: Session, file: Path, last: TreeHead | None, published: int) -> list[str]:
    if published > (last.size if last else 0):
        return [f"{file} ends with tree head {last.size if last else 0}, but {published} was published there: it was turned back or replaced."]
    if last is None:
        return []
    row = session.one(f"SELECT {_COLUMNS} FROM audit_head WHERE size = ?", (last.size,))
    if row is None:
        return [f"Tree head {last.size} was published in {file} and is missing in the log: the log was turned back or replaced."]
    if TreeHead(*row) != last:
        return [f"Tree head {last.size} in {file} is another one than that of the log: one of the two is forged, or the log was written anew."]
    return []


def reset(tx: Tx) -> None:
    """Forget what was published: whoever moved the old files away says why, and the places begin anew."""
    tx.run("DELETE FROM audit_state WHERE name = ? OR name LIKE ?", (MISMATCH, f"{_PUBLISHED}%"))


def last_head(file: Path) -> TreeHead | None:
    """Read the last whole head of a file; a torn last line was never relied on."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(handle).st_size
        tail = os.pread(handle, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    finally:
        os.close(handle)
    heads = (head_of(line.decode("utf-8", "replace")) for line in reversed(tail.split(b"\n")) if line)
    return next((head for head in heads if head is not None), None)
