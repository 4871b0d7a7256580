"""JSON of vendors: decoded into shapes, element by element, with the path of what is wrong."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from ingest.vendors.reading import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")
_PLACE: Final = re.compile(r" - at `\$(?P<path>.*)`$")
_FIELD: Final = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_BYTE: Final = re.compile(r"\(byte \d+\)")


def decode(raw: bytes | msgspec.Raw, shape: type[T], path: str) -> T | Problem:
    """Decode a document or one element of it.

    Args:
        raw: The JSON.
        shape: What it must look like; more members than it names are ignored.
        path: Path of the element; empty for the document.

    Returns:
        The decoded element, or the problem with its path.
    """
    try:
        decoder: Callable[[bytes | msgspec.Raw], T] = _decoder(cast("Hashable", shape))
        return decoder(raw)
    except msgspec.ValidationError as error:
        return _problem(str(error), path)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        where = _BYTE.search(str(error))
        return Problem(path, f"This is no JSON{' ' + where[0] if where else ': it ends too early or nests too deep'}.", "invalid")


@lru_cache(maxsize=64)
def _decoder(shape: Hashable) -> Callable[[bytes | msgspec.Raw], Any]:
    return msgspec.json.Decoder(shape).decode


def literal(raw: msgspec.Raw) -> str:
    """A value as it is written; bytes that are no UTF-8, which nobody has looked at so far, become marks that no number has."""
    return bytes(raw).decode("utf-8", "replace")


def below(path: str, member: str) -> str:
    """Path of a member of an element."""
    return f"{path}.{member}" if path else member


def _problem(said: str, path: str) -> Problem:
    """Say where, and which type was expected; never what was there."""
    place, field = _PLACE.search(said), _FIELD.match(said)
    inner = place["path"].lstrip(".") if place else ""
    full = below(path, inner) if inner and not inner.startswith("[") else path + inner
    if field:
        return Problem(below(full, field["field"]), "This element is required.", "required")
    return Problem(full, "This element has another type than it must have.", "structure")
