"""Journal segments: files of framed records, made durable for many threads with one fdatasync.

A record is its length (4 bytes), the CRC-32 of codec and body (4), the codec (1) and the body. A file is filled with zeros ahead of
its records: a sync then writes data only, where a growing file would wait for the file system's own journal (measured: half the rate).
"""

import mmap
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from chartloop.kernel import clock, ids
from chartloop.kernel.errors import Unavailable

MAGIC = b"CLJ1"
_HEAD = struct.Struct("<IIB")
_LARGEST = 64 * 1024 * 1024
_AHEAD = 1024 * 1024
HEADER_SIZE = _HEAD.size
_UNWRITABLE = "The audit journal cannot be written, so nothing may be disclosed; try again later."


class Framed(NamedTuple):
    """A record of a segment, and where it lies."""

    position: int
    end: int
    body: bytes
    codec: int = 0


def frame(body: bytes, codec: int = 0) -> bytes:
    """Wrap a body so that a torn or altered one is recognised."""
    kind = bytes((codec,))
    return _HEAD.pack(len(body), zlib.crc32(body, zlib.crc32(kind)), codec) + body


def unframe(data: bytes | mmap.mmap, at: int = 0, *, base: int = 0) -> Framed | None:
    """Read the record at a position; None when it is not whole or was altered. Data begins at offset base of its file, in which its place is told."""
    if at + _HEAD.size > len(data):
        return None
    length, crc, codec = _HEAD.unpack_from(data, at)
    start, end = at + _HEAD.size, at + _HEAD.size + length
    if length > _LARGEST or end > len(data):
        return None
    body = data[start:end]
    return Framed(base + at, base + end, body, codec) if zlib.crc32(body, zlib.crc32(bytes((codec,)))) == crc else None


def frames(data: bytes, base: int) -> Iterator[Framed]:
    """Read whole records; data begins at offset base of its file."""
    at = 0
    while (framed := unframe(data, at, base=base)) is not None:
        yield framed
        at = framed.end - base


class _Waiter:
    """A thread whose records are not durable yet; it sleeps on the lock."""

    __slots__ = ("batch", "error", "frame", "lock")

    def __init__(self, data: bytes) -> None:
        self.frame = data
        self.batch: list[_Waiter] | None = None
        self.error: OSError | None = None
        self.lock = threading.Lock()
        self.lock.acquire()


class SegmentWriter:
    """The journal of this process: threads append, one of them syncs for all that wait."""

    def __init__(self, directory: Path, *, max_bytes: int = 64_000_000) -> None:
        """Write new segments into this directory."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._waiting: list[_Waiter] = []
        self._busy = False
        self._file = -1
        self._size = 0
        self._filled = 0

    def append(self, *records: tuple[int, bytes]) -> None:
        """Append records (codec, body); return when all of them are on disk, raise Unavailable when they cannot be."""
        me = _Waiter(b"".join(frame(body, codec) for codec, body in records))
        with self._mutex:
            if self._busy:
                self._waiting.append(me)
            else:
                self._busy = True
                me.batch = [me]
        if me.batch is None:
            me.lock.acquire()  # released when durable, or when it is my turn to sync
        if me.batch is not None:
            self._lead(me, me.batch)
        if me.error is not None:
            raise Unavailable(_UNWRITABLE) from me.error

    def close(self) -> None:
        """Close the file that is open."""
        with self._mutex:
            self._finish()

    def _lead(self, me: _Waiter, batch: list[_Waiter]) -> None:
        """Make a batch durable, then hand the lead to the first who came meanwhile."""
        error = self._sync(b"".join(waiter.frame for waiter in batch))
        with self._mutex:
            following, self._waiting = self._waiting, []
            self._busy = bool(following)
        if following:
            following[0].batch = following
            following[0].lock.release()
        for waiter in batch:
            waiter.error = error
            if waiter is not me:
                waiter.lock.release()

    def _sync(self, data: bytes) -> OSError | None:
        try:
            if self._file < 0 or self._size >= self._max_bytes:
                self._open()
            if self._size + len(data) > self._filled:
                self._fill(self._size + len(data) + _AHEAD)
            _write_all(self._file, data, self._size)
            os.fdatasync(self._file)
            self._size += len(data)
        except OSError as error:
            # After a failed write or sync nothing is known of this file's end: never write to it again.
            with suppress(OSError):
                if self._file >= 0:
                    os.close(self._file)
            self._file = -1
            return error
        return None

    def _open(self) -> None:
        self._finish()
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"journal-{clock.now_us():017d}-{os.getpid()}-{ids.public_id()[:6]}.log"
        self._file = os.open(self._directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._size, self._filled = len(MAGIC), 0
        try:
            self._fill(_AHEAD)
            _write_all(self._file, MAGIC, 0)
            os.fsync(self._file)
            _sync_directory(self._directory)
        except OSError:
            with suppress(OSError):
                (self._directory / name).unlink()
            raise

    def _fill(self, end: int) -> None:
        """Write zeros up to a size; the sync of the next record makes them durable with it."""
        _write_all(self._file, bytes(end - self._filled), self._filled)
        self._filled = end

    def _finish(self) -> None:
        """Close the open file without its zeros."""
        if self._file >= 0:
            file, self._file = self._file, -1
            try:
                os.ftruncate(file, self._size)
            finally:
                os.close(file)


def _write_all(file: int, data: bytes, at: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, at)
        at += written
        rest = rest[written:]


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def segments(directory: Path) -> list[Path]:
    """List the segments of every process, oldest first."""
    return sorted(directory.glob("journal-*.log"))
