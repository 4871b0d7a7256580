"""The lexical rules of FHIR's primitive types, as patterns and as checks that say what is expected.

Spec: https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache

from fhir_server.validation.xhtml import xhtml_problem

ID = r"[A-Za-z0-9\-.]{1,64}"
_LEAP = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
_DAY = rf"(?:(?!0000)\d{{4}}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP})"
_MONTH = r"(?!0000)\d{4}-(?:0[1-9]|1[0-2])"
_YEAR = r"(?!0000)\d{4}"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
_ZONE = r"(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))"
_INSTANT = rf"{_DAY}T{_CLOCK}{_ZONE}"

# Anchored at both ends, for msgspec, which searches; Unicode digits are no digits here.
PATTERNS: dict[str, str] = {
    "id": rf"^{ID}\Z",
    "code": r"^\S+(?:\s\S+)*\Z",
    "uri": r"^\S+\Z",
    "url": r"^\S+\Z",
    "canonical": r"^\S+\Z",
    "oid": r"^urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+\Z",
    "uuid": r"^urn:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z",
    "date": rf"(?a)^(?:{_DAY}|{_MONTH}|{_YEAR})\Z",
    "dateTime": rf"(?a)^(?:{_INSTANT}|{_DAY}|{_MONTH}|{_YEAR})\Z",
    "instant": rf"(?a)^{_INSTANT}\Z",
    "time": rf"(?a)^{_CLOCK}\Z",
}
EXPECTED: dict[str, str] = {
    "id": "1 to 64 of the characters A-Z a-z 0-9 - .",
    "code": "a code without spaces at its ends",
    "uri": "a URI without spaces",
    "url": "a URL without spaces",
    "canonical": "a canonical URL without spaces",
    "oid": "urn:oid: and an OID",
    "uuid": "urn:uuid: and a UUID",
    "date": "a date that exists: YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "a date that exists, or a date and time with seconds and a time zone",
    "instant": "a date and time that exist, with seconds and a time zone",
    "time": "hh:mm:ss",
    "string": "text that is not empty",
    "markdown": "text that is not empty",
    "boolean": "true or false",
    "decimal": "a number",
    "integer": "a whole number of 32 bits",
    "positiveInt": "a whole number from 1 to 2147483647",
    "unsignedInt": "a whole number from 0 to 2147483647",
    "base64Binary": "base64 of whole groups",
}
INTEGER_RANGES: dict[str, tuple[int, int]] = {
    "integer": (-(2**31), 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
}
_SPACE = re.compile(r"\s+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")  # binascii, strict as it may be, overlooks marks behind the last group


def is_base64(text: str) -> bool:
    """Whether the text decodes as base64; white space may break its lines."""
    try:
        data = text.encode("ascii")
        if any(mark in data for mark in b" \r\n\t"):
            data = _SPACE.sub("", text).encode("ascii")
    except UnicodeEncodeError:
        return False
    return bool(data) and len(data) % 4 == 0 and _BASE64.fullmatch(data) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def primitive_problem(type_: str, value: object) -> str:
    """What is wrong with a primitive value, in words that do not repeat it; empty when nothing is."""
    if type_ == "xhtml":
        return xhtml_problem(value) if isinstance(value, str) else "must be a string of XHTML"
    return "" if _check_of(type_)(value) else f"must be {EXPECTED.get(type_, type_)}"


@cache
def _check_of(type_: str) -> Callable[[object], bool]:
    if type_ == "boolean":
        return lambda value: isinstance(value, bool)
    if type_ == "decimal":
        return lambda value: isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    if type_ in INTEGER_RANGES:
        low, high = INTEGER_RANGES[type_]
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if type_ == "base64Binary":
        return lambda value: isinstance(value, str) and is_base64(value)
    if type_ in PATTERNS:
        pattern = _compiled(PATTERNS[type_])
        return lambda value: isinstance(value, str) and pattern.search(value) is not None
    return lambda value: isinstance(value, str) and bool(value)
