"""Reading sealed records back from their journal segments, one after the other."""

import mmap
from pathlib import Path

from chartloop.kernel.audit.record import leaf_of
from chartloop.kernel.audit.segment import MAGIC, unframe
from chartloop.kernel.db_session import Row


class SealedSegments:
    """The sealed part of every segment; records must follow each other without a gap."""

    def __init__(self, directory: Path, rows: list[Row]) -> None:
        """Take the rows (id, name, sealed bytes) of the segments."""
        self.sealed = {str(name): int(size) for _, name, size in rows}
        self._files = {int(number): directory / str(name) for number, name, _ in rows}
        self._data: dict[int, bytes | mmap.mmap] = {}
        self._next: dict[int, int] = {}
        self.looked_at: tuple[int, bytes] | None = None
        """Codec and bytes of the record that was looked at last."""

    def name(self, source: int) -> str:
        """Return the name of a segment's file."""
        return self._files[source].name if source in self._files else ""

    def is_gone(self, source: int) -> bool:
        """Whether a segment's file is not there."""
        return source in self._files and not self._files[source].exists()

    def problem(self, source: int, position: int, leaf: bytes) -> str:
        """Say what is wrong with a sealed access; empty when nothing is."""
        self.looked_at = None
        if source not in self._files:
            return "its journal segment is not known"
        name = self._files[source].name
        framed = unframe(self._bytes(source), position)
        expected = self._next.get(source, len(MAGIC))
        if framed is None:
            return f"the record of an access is missing or altered in {name}"
        self._next[source], self.looked_at = framed.end, (framed.codec, framed.body)
        if leaf_of(framed.body) != leaf:
            return f"the record of an access was altered in {name}"
        return "" if position == expected else f"something lies before it in {name} that was not sealed"

    def _bytes(self, source: int) -> bytes | mmap.mmap:
        if source not in self._data:
            file = self._files[source]
            if file.exists() and file.stat().st_size:
                with file.open("rb") as opened:
                    self._data[source] = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                self._data[source] = b""
        return self._data[source]
