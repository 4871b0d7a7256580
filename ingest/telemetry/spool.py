"""Readings between being checked and being stored: groups on disk, so that a payload is stored whole or not at all."""

from __future__ import annotations

from collections import defaultdict
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

from ingest.vendors.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from ingest.vendors.reading import Source

_IN_MEMORY: Final = 4_000_000
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Reading]).decode


class Group(NamedTuple):
    """Readings of one metric and source, in the order in which they came."""

    metric: str
    source: Source
    readings: Sequence[Reading]


class Spool:
    """Holds readings; small payloads stay in memory."""

    def __init__(self, directory: Path) -> None:
        """Take where the file is made, should one be needed."""
        directory.mkdir(parents=True, exist_ok=True)
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(directory))  # noqa: SIM115 closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def put(self, readings: Sequence[Reading]) -> None:
        """Add readings."""
        packed = _encode(readings)
        self._file.write(len(packed).to_bytes(4, "big"))
        self._file.write(packed)

    def groups(self) -> Iterator[list[Group]]:
        """Yield what was added, grouped, a part at a time."""
        self._file.seek(0)
        while head := self._file.read(4):
            readings = _decode(self._file.read(int.from_bytes(head, "big")))
            yield grouped(readings)


def grouped(readings: Iterable[Reading]) -> list[Group]:
    """Group readings by metric and source."""
    found: dict[tuple[str, Source], list[Reading]] = defaultdict(list)
    for reading in readings:
        found[reading.metric, reading.source].append(reading)
    return [Group(metric, source, listed) for (metric, source), listed in found.items()]
