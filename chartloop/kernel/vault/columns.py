"""Single columns that hold what was said of patients, outside the resources: sealed as they are written, opened as they are read.

A sealed value begins with a mark of two bytes, then 1; a value in clear that happens to begin with the mark is kept behind the mark and 0. A text is
sealed as `vault:1:` and base64; one that begins with `vault:` itself is kept behind `vault:0:`. So values from before the vault stay readable.
"""

from __future__ import annotations

import base64
from typing import Final, NamedTuple, Protocol

from chartloop.kernel.errors import Unavailable
from chartloop.kernel.vault.envelope import number_of

MARK: Final = b"\xc7\x4c"
TEXT_MARK: Final = "vault:"
_CLEAR: Final = 0
_SEALED: Final = 1
_HEAD: Final = len(MARK) + 1


class Sealing(Protocol):
    """A vault, as those who keep something see it."""

    sealing: bool

    def seal(self, clear: bytes, place: str) -> bytes:
        """Encrypt for a place."""
        ...

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt what was sealed for a place."""
        ...


class Columns:
    """Seals and opens the values of one database's columns; without a vault they are kept as they come."""

    def __init__(self) -> None:
        """Begin without a vault."""
        self.vault: Sealing | None = None

    def use(self, vault: Sealing) -> None:
        """Seal and open with this vault from now on."""
        self.vault = vault

    @property
    def sealing(self) -> bool:
        """Whether what is written is sealed."""
        return self.vault is not None and self.vault.sealing

    def keep(self, clear: bytes, *place: object) -> bytes:
        """Return what is stored of some bytes at a place: table and column, then what makes the row the one it is."""
        if self.vault is not None and self.vault.sealing:
            return MARK + bytes((_SEALED,)) + self.vault.seal(clear, _place(place))
        return MARK + bytes((_CLEAR,)) + clear if clear.startswith(MARK) else clear

    def kept(self, stored: bytes, *place: object) -> bytes:
        """Return the bytes that were kept at a place."""
        if not stored.startswith(MARK):
            return stored
        return self._opened(stored[_HEAD:], place) if is_sealed(stored) else stored[_HEAD:]

    def keep_text(self, clear: str, *place: object) -> str:
        """Return what is stored of a text; an empty one stays empty."""
        if clear and self.vault is not None and self.vault.sealing:
            return f"{TEXT_MARK}{_SEALED}:" + base64.b64encode(self.vault.seal(clear.encode(), _place(place))).decode()
        return f"{TEXT_MARK}{_CLEAR}:{clear}" if clear.startswith(TEXT_MARK) else clear

    def kept_text(self, stored: str, *place: object) -> str:
        """Return the text that was kept at a place."""
        if not stored.startswith(TEXT_MARK):
            return stored
        said = stored[len(TEXT_MARK) + 2 :]
        return self._opened(base64.b64decode(said), place).decode() if is_sealed(stored) else said

    def _opened(self, sealed: bytes, place: tuple[object, ...]) -> bytes:
        if self.vault is None:
            raise Unavailable("This value is sealed, and no vault was opened to read it.")
        return self.vault.open(sealed, _place(place))


class SealedColumn(NamedTuple):
    """A column that a vault covers, so that older rows can be sealed: its place is TABLE.COLUMN and the values of `key`."""

    table: str
    key: tuple[str, ...]
    column: str


def is_sealed(stored: bytes | str) -> bool:
    """Whether a kept value is sealed."""
    if isinstance(stored, str):
        return stored.startswith(f"{TEXT_MARK}{_SEALED}:")
    return stored.startswith(MARK + bytes((_SEALED,)))


def key_number(stored: bytes | str) -> int:
    """Read which data key opens a sealed value."""
    return number_of(base64.b64decode(stored[len(TEXT_MARK) + 2 :]) if isinstance(stored, str) else stored[_HEAD:])


def _place(parts: tuple[object, ...]) -> str:
    return "\x1f".join(map(str, parts))
