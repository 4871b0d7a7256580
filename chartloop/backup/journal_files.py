"""The audit journal in a backup, in the order in which nothing is lost.

The store says how far each segment is sealed, so a copy of the segments must not be older than that of the store: they are copied after
it. Retention removes segments, so they are copied before it as well, and those that were written meanwhile once more. The file of tree
heads must end neither before nor after the log that the store holds: it is copied last, without the heads that are newer than the store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from chartloop.backup.files import copy_file, digest_of, make_directory, write_new
from chartloop.kernel.audit.anchors import heads_files
from chartloop.kernel.audit.heads import head_of
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.segment import segments
from chartloop.kernel.config import Settings
from chartloop.kernel.db_session import Session
from chartloop.kernel.errors import Unavailable

HEADS: Final = "heads.jsonl"
_SLACK_NS: Final = 2_000_000_000
"""A file system's clock is coarse: what was written so shortly before the first copy may have been written after it."""


class JournalFiles:
    """Copies the journal of a data directory, once before the store and once after it."""

    def __init__(self, settings: Settings, draft: Path) -> None:
        """Take where the journal is and where the copy goes; nothing is copied yet."""
        self._source = audit_directory(settings.data)
        self._heads = heads_files(self._source, settings.audit.heads_file, None)[0]
        self._target = audit_directory(draft)
        self._begun_ns = draft.stat().st_mtime_ns
        self._kept: dict[str, dict[str, Any]] = {}

    def copy_before(self) -> None:
        """Copy every segment."""
        make_directory(self._target)
        for segment in segments(self._source):
            self._copy(segment)

    def copy_after(self, size: int) -> dict[str, dict[str, Any]]:
        """Copy what came meanwhile, and the tree heads up to a size; return the files by their path in the backup."""
        for segment in segments(self._source):
            if segment.name not in self._kept or segment.stat().st_mtime_ns >= self._begun_ns - _SLACK_NS:
                self._copy(segment)
        if self._heads.exists():
            lines = self._heads.read_text("utf-8", errors="replace").split("\n")
            kept = [line for line in lines if line and (head := head_of(line)) is not None and head.size <= size]
            write_new(self._target / HEADS, "".join(f"{line}\n" for line in kept).encode())
            self._kept[HEADS] = digest_of(self._target / HEADS)
        return {f"{self._target.name}/{name}": kept for name, kept in self._kept.items()}

    def _copy(self, segment: Path) -> None:
        try:
            self._kept[segment.name] = copy_file(segment, self._target / segment.name)
        except Unavailable:
            if segment.exists():
                raise  # else retention has let go of it since it was listed


def last_head(session: Session) -> dict[str, Any] | None:
    """The last signed tree head of a store, as it is published."""
    row = session.one("SELECT size, root, recorded, previous, signature FROM audit_head ORDER BY size DESC LIMIT 1")
    if row is None:
        return None
    return {"size": row[0], "root": bytes(row[1]).hex(), "recorded": row[2], "previous": bytes(row[3]).hex(), "signature": bytes(row[4]).hex()}
