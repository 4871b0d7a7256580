"""What JSON itself must keep, before any FHIR: encoding, depth, unique names, exact numbers.

Spec: https://hl7.org/fhir/R4/json.html, https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import accumulate
from typing import Any, NoReturn

import msgspec

from chartloop.kernel.errors import Invalid

MAX_DEPTH = 64
_ALL = bytes(range(256))
_NOT_MARKS = bytes(mark for mark in _ALL if mark not in b'{}[]"\\')
_ESCAPED = re.compile(rb"\\.?", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
# +1 for an opening bracket, -1 for a closing one, 0 for a quote that has no partner.
_STEPS = [(mark in b"{[") - (mark in b"}]") for mark in _ALL]
_EMPTY_OBJECT = re.compile(rb"\{\s*\}")
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def nests_deeper(body: bytes, limit: int) -> bool:
    """Whether objects and arrays nest deeper than the limit; brackets inside strings do not count. Linear, and stops early."""
    marks = body.translate(None, _NOT_MARKS)
    if b"\\" in marks:
        marks = _ESCAPED.sub(b"", body).translate(None, _NOT_MARKS)
    marks = marks.replace(b'""', b"")
    if b'"' in marks:
        marks = _STRING.sub(b"", marks)
    left = marks
    for removed in (0, 2, 4, 6):
        if len(left) // 2 + removed <= limit:
            return False
        left = left.replace(b"{}", b"").replace(b"[]", b"")  # removes one level, or two where an array held one object
    return any(depth > limit for depth in accumulate(map(_STEPS.__getitem__, marks)))


def check_text(body: bytes) -> None:
    """Refuse what no parser should see: a byte order mark, nesting deeper than MAX_DEPTH."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise Invalid("the body starts with a byte order mark", code="structure")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and nests_deeper(body, MAX_DEPTH):
        raise Invalid(f"JSON nested deeper than {MAX_DEPTH} levels", code="too-costly")


def parse(body: bytes) -> Any:
    """Parse JSON with exact numbers; Invalid says at which byte it breaks."""
    try:
        value = _decoder.decode(body)
        # Equal numbers of quotes: no name was dropped because it came twice, and no escape hides one.
        if body.count(b'"') + body.count(b"\\u0022") != _encoder.encode(value).count(b'"'):
            check_unique_names(body)
    except msgspec.DecodeError as error:
        raise Invalid(f"the body is not JSON: {error}", code="structure") from None
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8", code="structure") from None
    except (RecursionError, ValueError, ArithmeticError):
        raise Invalid("the body nests too deep or has a number too long", code="structure") from None
    if b"\\u0000" in body:
        _refuse_null(value)
    return value


def compact(body: bytes) -> bytes:
    """Drop the white space between tokens, every token as it was written; what is not JSON stays, for `parse` to judge."""
    try:
        return msgspec.json.format(body, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body


def check_unique_names(body: bytes) -> None:
    """Refuse an object with the same name twice: two readers would see two different resources."""
    json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=str, parse_int=str)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise Invalid("an object has the same name twice", code="structure")
    return names


def _refuse_constant(_: str) -> NoReturn:
    raise Invalid("the body is not JSON: NaN and Infinity are no numbers", code="structure")


def _refuse_null(value: object) -> None:
    """U+0000 is legal JSON but no database text."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str) and "\x00" in item:
            raise Invalid("text contains the character U+0000", code="value")


def has_empty_object(body: bytes) -> bool:
    """Whether the bytes may contain an empty object (they may be inside a string)."""
    return _EMPTY_OBJECT.search(body) is not None
