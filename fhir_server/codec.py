"""Codecs of stored bodies: plain, zstd, and zstd with a dictionary.

Spec: https://www.rfc-editor.org/rfc/rfc8878
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import zstandard

from chartloop.kernel.errors import Unavailable

PLAIN: Final = 0
ZSTD: Final = 1
ZSTD_DICTIONARY: Final = 2
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

    def __init__(self, dictionaries: Mapping[int, bytes], load: Callable[[int], bytes | None] = lambda _: None) -> None:
        """Take the stored dictionaries, and where to find one that another process makes later."""
        self.current = 0
        self._load = load
        self._dictionaries: dict[int, zstandard.ZstdCompressionDict] = {}
        self._context = _Context()
        for number, body in sorted(dictionaries.items()):
            self.learn(number, body)

    def learn(self, number: int, body: bytes) -> None:
        """Know one more dictionary, and pack with it."""
        self._dictionaries[number] = zstandard.ZstdCompressionDict(body)
        self.current = number

    def pack(self, body: bytes) -> Packed:
        """Compress one body."""
        number = self.current
        packer = self._context.packers.get(number)
        if packer is None:
            packer = zstandard.ZstdCompressor(level=_LEVEL, dict_data=self._dictionaries.get(number))
            self._context.packers[number] = packer
        return Packed(ZSTD_DICTIONARY if number else ZSTD, number, packer.compress(body))

    def unpack(self, codec: int, dict_id: int, body: bytes) -> bytes:
        """Return the bytes that were packed."""
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
