"""Values of search parameters: token, date, reference, quantity, number, string, uri.

Spec: https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import inf, isfinite, nextafter
from typing import Final, NamedTuple

from chartloop.kernel import clock
from fhir_server.indexing.dates import date_bounds
from fhir_server.search.near import Near, near
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
    units: tuple[InUnit, ...] | None = None
    """What it is in each unit that the store knows; none where its own unit is compared as it stands."""


class InUnit(NamedTuple):
    """An amount in an indexed unit."""

    unit: int
    low: float
    high: float
    value: float


class Combination(NamedTuple):
    """The parts of a composite value, in order."""

    parts: tuple[Value, ...]


class WordQuery(NamedTuple):
    """Words to find in a text."""

    root: TextNode


class Text(NamedTuple):
    """A string or a uri."""

    text: str


class Words(NamedTuple):
    """Words of the vocabulary, of one kind: from one up to another, which is left out; without an end, one alone."""

    kind: int
    low: str
    high: str


class Hashes(NamedTuple):
    """Values as the equality index holds them."""

    values: tuple[int, ...]


class InValueSet(NamedTuple):
    """The codes of a value set, by its address."""

    url: str


class Subsumption(NamedTuple):
    """A code and what it subsumes, or what subsumes it."""

    system: str
    code: str
    up: bool


Value = Token | DateRange | ReferenceTo | Amount | Text | WordQuery | Combination | Near | Words | Hashes | InValueSet | Subsumption


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


def token(text: str) -> Token | None:
    """Read a token; None if it has too many parts or none."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        return Token(None, parts[0]) if parts[0] else None
    if len(parts) != 2 or not any(parts):
        return None
    return Token(parts[0], parts[1] or None)


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
    if bounds is None:
        return None
    return DateRange(prefix, *(_about(*bounds) if prefix == "ap" else bounds))


def _about(low: int, high: int) -> tuple[int, int]:
    """Widen a range by a tenth of the gap between now and it.

    Spec: https://hl7.org/fhir/R4/search.html#prefix
    """
    now = clock.now_us()
    gap = max(low - now, now - high, 0) // 10
    return low - gap, high + gap


def position(text: str) -> Near | None:
    """Read `latitude|longitude[|distance[|units]]`."""
    return near([unescape(part) for part in split(text, "|")])


def past(bound: float, exact: float) -> float:
    """An upper bound that is excluded, behind the value itself even where more digits are given than a double has."""
    return max(bound, nextafter(exact, inf))


def _last_place(value: Decimal, text: str) -> int:
    """Return the power of ten of the last significant figure.

    A number with an exponent has at least two: the table of the specification has 1e2 mean 95 to 105, and 5.4e-3 0.00535 to 0.00545.
    Spec: https://hl7.org/fhir/R4/search.html#number
    """
    exponent = int(value.as_tuple().exponent)
    one = "e" in text.lower() and len(value.as_tuple().digits) == 1 and bool(value)
    return exponent - 1 if one else exponent


def number(text: str) -> Amount | None:
    """Read `[prefix]number`."""
    return amount(text) if "|" not in text else None


def amount(text: str) -> Amount | None:
    """Read `[prefix]number` or `[prefix]number|system|code`; the significant figures given set the bounds."""
    prefix, rest = _prefixed(text)
    parts = [unescape(part) for part in split(rest, "|")]
    if len(parts) not in (1, 3) or not _NUMBER.fullmatch(parts[0]) or (len(parts) == 3 and parts[1] and not parts[2]):
        return None
    try:
        value = Decimal(parts[0])
        half = abs(value) / 10 if prefix == "ap" else Decimal(5) * Decimal(10) ** (_last_place(value, parts[0]) - 1)
        exact = float(value)
        bounds = (float(value - half), past(float(value + half), exact), exact)
    except (ArithmeticError, ValueError):
        return None
    if not all(map(isfinite, bounds)):
        return None
    system, code = (parts[1] or None, parts[2] or None) if len(parts) == 3 else (None, None)
    return Amount(prefix, *bounds, system, code)
