"""Files of a backup: copied with their digest, durable, readable by their owner alone; and which files of a data directory belong into one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from chartloop.kernel.errors import Unavailable

_PIECE: Final = 1_048_576
_DATABASE: Final = ".sqlite3"
_NOT_FILES: Final = frozenset({"keys", "audit", "demo"})
"""Directories that are looked after apart: keys stay outside, the audit log has an order of its own, the demo has payers that are not ours."""
_NOT_ENDINGS: Final = (".lock", ".sqlite3-wal", ".sqlite3-shm", ".key", ".pem", ".partial")
_NOT_STARTS: Final = (".", "arriving-")
_SPOOL: Final = Path("telemetry") / "spool"


def make_directory(directory: Path) -> None:
    """Make a directory that its owner alone can enter, with those above it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_new(file: Path, content: bytes) -> None:
    """Write a file that is not there yet, durably."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(handle)


def copy_file(source: Path, target: Path) -> dict[str, Any]:
    """Copy a file durably, over what is there; return the size and SHA-256 of what was written.

    Raises:
        Unavailable: One of them cannot be read or written.
    """
    make_directory(target.parent)
    digest, size = hashlib.sha256(), 0
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with source.open("rb") as reader, os.fdopen(handle, "wb") as writer:
            while piece := reader.read(_PIECE):
                writer.write(piece)
                digest.update(piece)
                size += len(piece)
            writer.flush()
            os.fsync(handle)
    except OSError as error:
        raise Unavailable(f"{source} could not be copied to {target}: {os.strerror(error.errno or 0)}.") from None
    return {"size": size, "sha256": digest.hexdigest()}


def digest_of(file: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as reader:
        while piece := reader.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


def sync(path: Path) -> None:
    """Make a file, or the names in a directory, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def files_below(directory: Path) -> list[Path]:
    """Every file below a directory, as paths from there."""
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def files_to_keep(data: Path, apart: Collection[Path]) -> Iterator[Path]:
    """List what of a data directory belongs into a backup beside store and audit log, as paths from there; no key, wherever it lies.

    Args:
        data: The data directory.
        apart: Files that are kept apart or copied in another way.
    """
    excluded = {path.resolve() for path in apart}
    for path in files_below(data):
        if path.parts[0] in _NOT_FILES or path.is_relative_to(_SPOOL) or (data / path).resolve() in excluded:
            continue
        if not path.name.endswith(_NOT_ENDINGS) and not any(part.startswith(_NOT_STARTS) for part in path.parts):
            yield path


def is_database(path: Path) -> bool:
    """Whether a file is one of our SQLite databases, which are copied by SQLite itself."""
    return path.suffix == _DATABASE
