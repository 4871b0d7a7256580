"""Sealed files: pieces of one MiB, each encrypted with a key of the file's own, which the vault seals in front of them.

The nonce of a piece is its number and whether it is the last, so that pieces cannot be moved, left out or cut off: the STREAM construction.
Spec: https://eprint.iacr.org/2015/189 (STREAM), NIST SP 800-38D section 8.2.1 (deterministic nonces; a key is used for one file alone)
"""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chartloop.kernel.vault.envelope import Altered

if TYPE_CHECKING:
    from chartloop.kernel.vault.columns import Columns

MAGIC: Final = b"CLV1"
_PIECE: Final = 1_048_576
_TAG: Final = 16
_COUNTER: Final = 11
_LENGTH: Final = 2


class SealingWriter(io.RawIOBase):
    """Encrypts what is written to it; the end is written by close."""

    def __init__(self, file: IO[bytes], columns: Columns, place: str) -> None:
        """Begin a sealed file for a place."""
        super().__init__()
        key = AESGCM.generate_key(256)
        head = columns.keep(key, place)
        file.write(MAGIC + len(head).to_bytes(_LENGTH, "big") + head)
        self._file = file
        self._cipher = AESGCM(key)
        self._waiting = bytearray()
        self._number = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Take bytes; whole pieces are encrypted as they fill, the last one waits for more or for the end."""
        view = memoryview(data)
        self._waiting += view
        while len(self._waiting) > _PIECE:
            self._put(bytes(self._waiting[:_PIECE]), last=False)
            del self._waiting[:_PIECE]
        return view.nbytes

    def close(self) -> None:
        """Write the last piece; the file below stays open."""
        if not self.closed:
            self._put(bytes(self._waiting), last=True)
            self._waiting.clear()
        super().close()

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), piece, None))
        self._number += 1


class UnsealingReader(io.RawIOBase):
    """Decrypts what is read from it."""

    def __init__(self, file: IO[bytes], columns: Columns, place: str) -> None:
        """Go on behind MAGIC."""
        super().__init__()
        head = file.read(int.from_bytes(file.read(_LENGTH), "big"))
        self._file = file
        self._cipher = AESGCM(columns.kept(head, place))
        self._coming = file.read(_PIECE + _TAG)
        self._piece = b""
        self._number = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer.

        Raises:
            Altered: The file was changed or cut off.
        """
        view = memoryview(buffer).cast("B")
        if not self._piece and self._coming:
            self._piece = self._next()
        size = min(len(view), len(self._piece))
        view[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def _next(self) -> bytes:
        sealed, self._coming = self._coming, self._file.read(_PIECE + _TAG)
        try:
            clear = self._cipher.decrypt(_nonce(self._number, last=not self._coming), sealed, None)
        except InvalidTag:
            raise Altered("A sealed file was altered, or is not whole.") from None
        self._number += 1
        return clear


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER, "big") + bytes((last,))
