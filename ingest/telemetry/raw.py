"""Payloads as they came, in files named by their hash, sealed where there is a vault: durable before anything is read from them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from hashlib import sha256
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final, NamedTuple

import zstandard

from chartloop.kernel.errors import Invalid, TooLarge
from chartloop.kernel.vault.files import MAGIC, SealingWriter, UnsealingReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any, BinaryIO

    from chartloop.kernel.vault.columns import Columns

_PIECE: Final = 1_048_576
_LEVEL: Final = 3
_PLACE: Final = "telemetry.raw"


class Kept(NamedTuple):
    """A payload that is durable."""

    sha256: str
    size: int


class RawStore:
    """DATA/telemetry/raw/ab/<sha256>.zst; the same bytes are kept once."""

    def __init__(self, directory: Path, columns: Columns) -> None:
        """Take the directory, which is made when the first payload comes, and what seals."""
        self._directory = directory
        self._columns = columns

    def keep(self, environ: Mapping[str, Any], max_bytes: int) -> Kept:
        """Write the body of a request down, in pieces; memory does not grow with it.

        Raises:
            TooLarge: There is more than may be; nothing is kept.
            Invalid: The body ended before the length that was announced; nothing is kept.
        """
        announced = str(environ.get("CONTENT_LENGTH") or "")
        length = int(announced) if announced.isdigit() else None
        if length is not None and length > max_bytes:
            raise _too_large(max_bytes)
        self._directory.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._directory, prefix="arriving-", delete=False) as file:
            try:
                if self._columns.sealing:
                    with SealingWriter(file.file, self._columns, _PLACE) as sealed:
                        kept = _copy(environ["wsgi.input"], sealed, length, max_bytes)
                else:
                    kept = _copy(environ["wsgi.input"], file, length, max_bytes)
                file.flush()
                os.fsync(file.fileno())
                self._settle(file.name, kept.sha256)
            except BaseException:
                os.unlink(file.name)  # noqa: PTH108 a name, not a path
                raise
        return kept

    def path(self, digest: str) -> Path:
        """Where a payload is."""
        return self._directory / digest[:2] / f"{digest}.zst"

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """Read a payload again, as a stream."""
        with self.path(digest).open("rb") as packed:
            sealed = packed.read(len(MAGIC)) == MAGIC
            if not sealed:
                packed.seek(0)
            source: Any = UnsealingReader(packed, self._columns, _PLACE) if sealed else packed
            with zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True) as stream:
                yield stream

    def _settle(self, name: str, digest: str) -> None:
        path = self.path(digest)
        path.parent.mkdir(exist_ok=True)
        os.replace(name, path)  # noqa: PTH105 a name, not a path
        for directory in (path.parent, self._directory):
            descriptor = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _copy(stream: BinaryIO, file: Any, length: int | None, max_bytes: int) -> Kept:
    """Copy a body, compressed; hashing and compressing large pieces leave the interpreter to others."""
    digest, size = sha256(), 0
    with zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as writer:
        while length is None or size < length:
            piece = stream.read(_PIECE if length is None else min(_PIECE, length - size))
            if not piece:
                break
            size += len(piece)
            if size > max_bytes:
                raise _too_large(max_bytes)
            digest.update(piece)
            writer.write(piece)
    if length is not None and size < length:
        raise Invalid("The body ended before its announced length.", code="incomplete")
    return Kept(digest.hexdigest(), size)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The payload is larger than {max_bytes} bytes.")
