"""One process owns a SQLite data directory.

Spec: https://man7.org/linux/man-pages/man2/flock.2.html
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from chartloop.kernel.errors import Conflict


class ProcessLock:
    """Held as long as this process lives; the system lets it go whatever happens to the process."""

    def __init__(self, data: Path, name: str = "serve.lock") -> None:
        """Take the lock, or say in one sentence who has it."""
        data.mkdir(parents=True, exist_ok=True)
        self._file = os.open(data / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise Conflict(
                f"Another chartloop process ({owner}) already serves {data}: on SQLite one process owns the store; stop it, or use PostgreSQL."
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the lock go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        """Hold the lock for a block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let it go."""
        self.release()
