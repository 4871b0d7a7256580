"""JSON as a tree that can be changed and written again, every number with the digits it came with.

Spec: https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from chartloop.kernel.errors import Unprocessable

MAX_WORK: Final = 5_000_000
"""Characters and nodes that one patch may copy or look at."""


class Number:
    """A number with a point or an exponent, as it was written: 72.50 stays 72.50."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Take the text."""
        self.text = text


def _raw(number: Any) -> msgspec.Raw:
    return msgspec.Raw(number.text.encode())


_DECODER: Final = msgspec.json.Decoder(float_hook=Number)
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_raw)
_SORTED: Final = msgspec.json.Encoder(enc_hook=_raw, order="sorted")


class Budget:
    """Bounds the work of one patch, whatever it copies and however often."""

    __slots__ = ("_left",)

    def __init__(self, work: int = MAX_WORK) -> None:
        """Take what may be spent."""
        self._left = work

    def spend(self, work: int) -> None:
        """Spend some of it."""
        self._left -= work
        if self._left < 0:
            raise Unprocessable("The patch asks for too much work.", code="too-costly")

    def copy(self, value: Any) -> Any:
        """Copy a tree."""
        self.spend(1 + len(value) if isinstance(value, str) else 1)
        if isinstance(value, dict):
            return {self.copy(name): self.copy(item) for name, item in value.items()}
        return [self.copy(item) for item in value] if isinstance(value, list) else value


def read_tree(body: bytes) -> Any:
    """Parse JSON that was judged before."""
    return _DECODER.decode(body)


def write_tree(tree: Any) -> bytes:
    """Write a tree."""
    return _ENCODER.encode(tree)


def canonical(tree: Any) -> bytes:
    """Write a tree with its names in order, to compare contents."""
    return _SORTED.encode(tree)


def equal(left: Any, right: Any) -> bool:
    """Whether two values are equal as RFC 6902 has it: numbers by their value, objects whatever the order of their names."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, Number)) and isinstance(right, (int, Number)):
        return _decimal(left) == _decimal(right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(item, right[name]) for name, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return type(left) is type(right) and bool(left == right)


def _decimal(number: int | Number) -> Decimal:
    return Decimal(number.text if isinstance(number, Number) else number)
