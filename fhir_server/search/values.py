"""Values of search parameters: token, date, reference, quantity, number, string, uri.

Spec: https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from typing import Final, NamedTuple

from fhir_server.indexing.dates import date_bounds
from fhir_server.search.text_syntax import TextNode

PREFIXES: Final = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_LOCAL: Final = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?")


class Token(NamedTuple):
    """`code`, `|code`, `system|` or `system|code`; None is an absent part."""

    system: str | None
    code: str | None


class DateRange(NamedTuple):
    """A prefixed date, as microseconds; the end is exclusive."""

    prefix: str
    low: int
    high: int


class ReferenceTo(NamedTuple):
    """A reference: local with or without its type, or another address."""

    type: str
    id: str
    url: str


class Amount(NamedTuple):
    """A prefixed number with the bounds its precision implies, and a unit."""

    prefix: str
    low: float
    high: float
    value: float
    system: str | None
    code: str | None


class WordQuery(NamedTuple):
    """Words to find in a text."""

    root: TextNode


class Text(NamedTuple):
    """A string or a uri."""

    text: str


Value = Token | DateRange | ReferenceTo | Amount | Text | WordQuery


def unescape(text: str) -> str:
    """Undo the search escapes of comma, bar, dollar and backslash."""
    return re.sub(r"\\([,|$\\])", r"\1", text)


def split(text: str, separator: str) -> list[str]:
    """Split at a separator that is not escaped; the parts keep their escapes."""
    parts: list[str] = []
    start, escaped = 0, False
    for place, letter in enumerate(text):
        if letter == separator and not escaped:
            parts.append(text[start:place])
            start = place + 1
        escaped = letter == "\\" and not escaped
    return [*parts, text[start:]]


def token(text: str, *, system_alone: bool = False) -> Token | None:
    """Read a token; None if it has too many parts or none, or a system without a code where that is not indexed."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        return Token(None, parts[0]) if parts[0] else None
    if len(parts) != 2 or not any(parts):
        return None
    return Token(parts[0], parts[1] or None) if parts[1] or system_alone else None


def ancestors(url: str) -> list[str]:
    """List the addresses that a URL lies at or below, by segments of its path; none for what is no URL, such as a URN."""
    found = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.\-]*://[^/?#]+)((?:/[^?#]*)?)", url)
    if found is None:
        return []
    root, path = found.groups()
    ends = [place for place, letter in enumerate(path) if letter == "/"]
    return list(dict.fromkeys([url, *(root + path[:end] for end in ends), *(root + path[: end + 1] for end in ends)]))


def reference(text: str, base: str) -> ReferenceTo | None:
    """Read a reference; an absolute address below our own base is local."""
    raw = unescape(text)
    local = raw.removeprefix(base + "/") if base else raw
    if match := _LOCAL.fullmatch(local):
        return ReferenceTo(match[1], match[2], "")
    if _ID.fullmatch(raw):
        return ReferenceTo("", raw, "")
    return ReferenceTo("", "", raw) if re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", raw) else None


def _prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


def date(text: str) -> DateRange | None:
    """Read a prefixed date, dateTime or instant; without a zone it is UTC."""
    prefix, rest = _prefixed(text)
    bounds = date_bounds(rest.replace(" ", "+"))
    return None if bounds is None or prefix == "ap" else DateRange(prefix, *bounds)


def amount(text: str) -> Amount | None:
    """Read `[prefix]number` or `[prefix]number|system|code`; the precision given sets the bounds."""
    prefix, rest = _prefixed(text)
    parts = [unescape(part) for part in split(rest, "|")]
    if len(parts) not in (1, 3) or not _NUMBER.fullmatch(parts[0]):
        return None
    try:
        value = Decimal(parts[0])
        half = Decimal(5) * Decimal(10) ** (int(value.as_tuple().exponent) - 1)
        bounds = (float(value - half), float(value + half), float(value))
    except (ArithmeticError, ValueError):
        return None
    if not all(map(isfinite, bounds)):
        return None
    system, code = (parts[1] or None, parts[2] or None) if len(parts) == 3 else (None, None)
    return Amount(prefix, *bounds, system, code)
