"""One hour of one series as a compact blob: exact times, values with their digits, flags, ids; nothing is rounded.

Columns of variable-length integers: times as differences of differences in the coarsest unit that holds all of them, values as
differences of their digits, everything else as differences; of a column that stays the same its first value alone; then zstd
where that is smaller.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate
from operator import sub
from typing import TYPE_CHECKING, Final

import msgspec
import zstandard

from ingest.vendors.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.vendors.reading import Source

PLAIN: Final = 0
ZSTD: Final = 1
_LEVEL: Final = 9
_TOO_SHORT: Final = 128
"""A body of fewer bytes is never smaller for being packed, and most hours are that short."""
_UNITS: Final = (60_000_000, 1_000_000, 1_000, 1)
_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80
_SECOND_US: Final = 1_000_000
_COLUMNS: Final = 8
_texts: Final = msgspec.msgpack.Decoder(list[str]).decode


class Unreadable(ValueError):
    """This is no chunk."""


def encode(readings: Sequence[Reading]) -> bytes:
    """Write readings of one metric and source; those of one time stay in their order.

    Args:
        readings: At least one; the metric and the source are not written.
    """
    starts = [reading.start for reading in readings]
    lengths = [reading.end - reading.start for reading in readings]
    unit = next(number for number, size in enumerate(_UNITS) if not any(time % size for time in (*starts, *lengths)))
    size = _UNITS[unit]
    parts = [_digits(reading.value) for reading in readings]
    body = bytearray((unit,))
    columns = (
        _steps([start // size for start in starts]),
        [length // size for length in lengths],
        [exponent for _, exponent in parts],
        [coefficient for coefficient, _ in parts],
        [reading.flags for reading in readings],
        [reading.offset for reading in readings],
        [(reading.updated - reading.start) // _SECOND_US for reading in readings],
        [(reading.updated - reading.start) % _SECOND_US for reading in readings],
    )
    steady = [len(set(column)) == 1 for column in columns]
    _write(body, (len(readings), sum(1 << number for number, same in enumerate(steady) if same)))
    for column, same in zip(columns, steady, strict=True):
        _write(body, [_zigzag(number) for number in (column[:1] if same else _steps(column))])
    for texts in ([reading.vendor_id for reading in readings], [reading.detail for reading in readings]):
        written = msgspec.msgpack.encode(texts) if any(texts) else b""
        _write(body, (len(written),))
        body += written
    if len(body) < _TOO_SHORT:
        return bytes((PLAIN,)) + bytes(body)
    packed = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True, write_checksum=False).compress(bytes(body))
    return bytes((ZSTD,)) + packed if len(packed) < len(body) else bytes((PLAIN,)) + bytes(body)


def decode(blob: bytes, metric: str, source: Source) -> list[Reading]:
    """Read what `encode` wrote.

    Raises:
        Unreadable: It was not written by `encode`.
    """
    try:
        body = zstandard.ZstdDecompressor().decompress(blob[1:]) if blob[0] == ZSTD else blob[1:]
        return _decoded(body, metric, source)
    except (IndexError, ArithmeticError, zstandard.ZstdError, msgspec.DecodeError) as error:
        raise Unreadable(f"A chunk cannot be read: {type(error).__name__}.") from None


def _decoded(body: bytes, metric: str, source: Source) -> list[Reading]:
    size = _UNITS[body[0]]
    (count, steady), at = _read(body, 1, 2)
    columns: list[list[int]] = []
    for number in range(_COLUMNS):
        same = steady >> number & 1
        raw, at = _read(body, at, 1 if same else count)
        columns.append([_unzigzag(raw[0])] * count if same else _summed(map(_unzigzag, raw)))
    texts: list[list[str]] = []
    for _ in range(2):
        (length,), at = _read(body, at, 1)
        texts.append(_texts(body[at : at + length]) if length else [""] * count)
        at += length
    steps, lengths, exponents, coefficients, flags, offsets, seconds, rests = columns
    starts = _summed(steps)
    readings = []
    for n in range(count):
        start = starts[n] * size
        updated = start + seconds[n] * _SECOND_US + rests[n]
        readings.append(
            Reading(metric, source, start, start + lengths[n] * size, offsets[n], _decimal(coefficients[n], exponents[n]), flags[n], texts[0][n], updated, texts[1][n])
        )
    return readings


def _digits(value: Decimal) -> tuple[int, int]:
    """Coefficient with its sign, and exponent: 72.50 is 7250 and -2."""
    whole, _, fraction = str(value).partition(".")
    try:
        return int(whole + fraction), -len(fraction)
    except ValueError:  # 1E+3, or no number
        sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Unreadable("Infinity is no measure.")
    return (-1 if sign else 1) * int("".join(map(str, digits)) or "0"), exponent


def _decimal(coefficient: int, exponent: int) -> Decimal:
    return Decimal(f"{coefficient}E{exponent}")


def _steps(values: Sequence[int]) -> list[int]:
    return [*values[:1], *map(sub, values[1:], values)]


def _summed(steps: Iterable[int]) -> list[int]:
    return list(accumulate(steps))


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return number >> 1 if not number & 1 else -((number + 1) >> 1)


def _write(body: bytearray, numbers: Sequence[int]) -> None:
    if max(numbers) <= _SEVEN_BITS:
        body += bytes(numbers)
        return
    for number in numbers:
        rest = number
        while rest > _SEVEN_BITS:
            body.append(rest & _SEVEN_BITS | _MORE)
            rest >>= 7
        body.append(rest)


def _read(body: bytes, at: int, count: int) -> tuple[list[int], int]:
    short = body[at : at + count]
    if short.isascii() and len(short) == count:  # each in one byte
        return list(short), at + count
    found = []
    for _ in range(count):
        number = shift = 0
        while (byte := body[at]) & _MORE:
            number |= (byte & _SEVEN_BITS) << shift
            shift += 7
            at += 1
        found.append(number | byte << shift)
        at += 1
    return found, at
