"""Codecs of stored bodies: plain, zstd, and zstd with a dictionary; each of them as it is, or sealed by the vault.

A body is compressed first, then sealed for the place where it will be: type, id and version, or the job that it belongs to.
Spec: https://www.rfc-editor.org/rfc/rfc8878
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import zstandard

from chartloop.kernel.db import Tx
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.vault.vault import STORE, Vault

PLAIN: Final = 0
ZSTD: Final = 1
ZSTD_DICTIONARY: Final = 2
SEALED: Final = 8
"""Added to the number of a codec: the body is sealed by the vault."""

_LEVEL: Final = 3


class Packed(NamedTuple):
    """A body as it is stored."""

    codec: int
    dict_id: int
    body: bytes


class _Context(threading.local):
    """Compressors of one thread: zstd contexts are not shared."""

    def __init__(self) -> None:
        self.packers: dict[int, zstandard.ZstdCompressor] = {}
        self.unpackers: dict[int, zstandard.ZstdDecompressor] = {}


class Codec:
    """Pack and unpack bodies, with the newest dictionary that is known."""

    def __init__(self, dictionaries: Mapping[int, bytes], load: Callable[[int], bytes | None] = lambda _: None, vault: Vault | None = None) -> None:
        """Take the stored dictionaries, where to find one that another process makes later, and what seals bodies."""
        self.current = 0
        self.vault = vault
        self._load = load
        self._dictionaries: dict[int, zstandard.ZstdCompressionDict] = {}
        self._context = _Context()
        for number, body in sorted(dictionaries.items()):
            self.learn(number, body)

    def learn(self, number: int, body: bytes) -> None:
        """Know one more dictionary, and pack with it."""
        self._dictionaries[number] = zstandard.ZstdCompressionDict(body)
        self.current = number

    def pack(self, body: bytes, place: str = "", patient: str = "") -> Packed:
        """Compress one body, and seal it for its place; with the key of its patient, where it is about one."""
        number = self.current
        packer = self._context.packers.get(number)
        if packer is None:
            packer = zstandard.ZstdCompressor(level=_LEVEL, dict_data=self._dictionaries.get(number))
            self._context.packers[number] = packer
        return self.sealed(Packed(ZSTD_DICTIONARY if number else ZSTD, number, packer.compress(body)), place, patient)

    def sealed(self, packed: Packed, place: str, patient: str) -> Packed:
        """Seal what is packed already, where there is a vault that seals."""
        if self.vault is None or not self.vault.sealing:
            return packed
        return Packed(packed.codec | SEALED, packed.dict_id, self.vault.seal(packed.body, place, patient or STORE))

    def settle(self, tx: Tx, stored: Iterable[Packed]) -> None:
        """Store the keys of patients that some bodies are the first to need, in the transaction that stores those."""
        if self.vault is not None:
            self.vault.settle(tx, (packed.body for packed in stored if packed.codec & SEALED))

    def unsealed(self, packed: Packed, place: str) -> Packed:
        """Open what is sealed; anything else comes back as it is.

        Raises:
            Destroyed: The key of this body was destroyed.
        """
        if not packed.codec & SEALED:
            return packed
        if self.vault is None:
            raise Unavailable("A stored body is sealed, and no vault was opened to read it.")
        return Packed(packed.codec ^ SEALED, packed.dict_id, self.vault.open(packed.body, place))

    def unpack(self, codec: int, dict_id: int, body: bytes, place: str = "") -> bytes:
        """Return the bytes that were packed for a place."""
        if codec & SEALED:
            codec, dict_id, body = self.unsealed(Packed(codec, dict_id, bytes(body)), place)
        if codec == PLAIN:
            return bytes(body)
        unpacker = self._context.unpackers.get(dict_id)
        if unpacker is None:
            if dict_id and dict_id not in self._dictionaries:
                self._find(dict_id)
            unpacker = zstandard.ZstdDecompressor(dict_data=self._dictionaries[dict_id] if dict_id else None)
            self._context.unpackers[dict_id] = unpacker
        return unpacker.decompress(bytes(body))

    def _find(self, number: int) -> None:
        body = self._load(number)
        if body is None:
            raise Unavailable("The dictionary of a stored body is missing.")
        self.learn(number, body)
