"""Regular expressions in linear time: RE2, so that no expression over any text takes longer than both are long.

Look-around and back references are refused. Spec: http://hl7.org/fhirpath/N1/#matchesregex-string-boolean
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

from fhir_server.fhirpath.errors import Failed

_MAX_PATTERN: Final = 2_000
MAX_MADE: Final = 10_000_000
"""Characters that one replacement may make."""
_MAX_MEMORY: Final = 4 << 20


@lru_cache(512)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    if len(pattern) > _MAX_PATTERN:
        raise Failed("the regular expression is too long")
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise Failed("the regular expression is not of the kind that runs in linear time") from None


def matches(text: str, pattern: str) -> bool:
    """Whether a part of the text is as the pattern says."""
    return _compiled(pattern).search(text) is not None


def matches_whole(text: str, pattern: str) -> bool:
    """Whether all of the text is as the pattern says."""
    return _compiled(pattern).fullmatch(text) is not None


def replaced(text: str, pattern: str, substitution: str) -> str:
    """Replace every part that is as the pattern says; $1 or ${name} stand for groups."""
    if not pattern:
        return text
    found: str = _compiled(pattern).sub(lambda match: _filled(match, substitution), text)
    return found


def _filled(match: Any, substitution: str) -> str:
    if "$" not in substitution:
        return substitution
    parts, at = [], 0
    while at < len(substitution):
        name, end = _group(substitution, at)
        if name is None:
            parts.append(substitution[at])
            at += 1
            continue
        try:
            parts.append(match.group(int(name) if name.isdigit() else name) or "")
        except (IndexError, KeyError, re2.error):
            raise Failed("the substitution names a group that the regular expression does not have") from None
        at = end
    return "".join(parts)


def _group(text: str, at: int) -> tuple[str | None, int]:
    if text[at] != "$" or at + 1 == len(text):
        return None, at
    if text[at + 1] == "{" and (end := text.find("}", at)) > 0:
        return text[at + 2 : end], end + 1
    return (text[at + 1], at + 2) if text[at + 1] in "0123456789" else (None, at)
