"""Algebra of element paths: what an allow-list shows, and what two allow-lists both show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

#: Parts of an element that a search on it looks at.
_SEARCHED: Final = (
    ("reference",),
    ("coding.system", "coding.code"),
    ("system", "code"),
    ("system", "value"),
    ("start", "end"),
    ("value",),
)

#: Never shown because an element above them is: they can hold anything.
UNNAMED: Final = frozenset({"extension", "modifierExtension", "contained", "id"})


def expand(pattern: str) -> list[str]:
    """Spell out the braces of a pattern: a.{b,c.{d,e}} is a.b, a.c.d and a.c.e."""
    opening = pattern.find("{")
    if opening < 0:
        return [pattern]
    closing = _closing(pattern, opening)
    head, tail = pattern[:opening], pattern[closing + 1 :]
    return [path for choice in _split(pattern[opening + 1 : closing]) for path in expand(head + choice + tail)]


def _closing(pattern: str, opening: int) -> int:
    depth = 0
    for position in range(opening, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[position], 0)
        if depth == 0:
            return position
    message = f"unbalanced braces in {pattern}"
    raise ValueError(message)


def _split(choices: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, character in enumerate(choices):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(choices[start:position])
            start = position + 1
    return [*parts, choices[start:]]


def shows(allowed: frozenset[str], path: str) -> bool:
    """Whether an allow-list shows all of an element: the path itself or an ancestor is on it that hides nothing on the way to it."""
    parts = path.split(".")
    return any(".".join(parts[:length]) in allowed and UNNAMED.isdisjoint(parts[length:]) for length in range(1, len(parts) + 1))


def intersect(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    """What both allow-lists show."""
    return frozenset({path for path in first if shows(second, path)} | {path for path in second if shows(first, path)})


def searchable(allowed: frozenset[str], type_: str, paths: Iterable[str]) -> bool:
    """Whether a search on these element paths looks only at what the allow-list shows. No path at all is refused."""
    plain = [_plain(path, type_) for path in paths]
    return bool(plain) and all(_searched(allowed, path) for path in plain)


def _searched(allowed: frozenset[str], path: str) -> bool:
    if path in {"id", "meta.lastUpdated", "meta.versionId"} or shows(allowed, path):
        return True
    if f"{path}.value" in allowed and f"{path}.code" in allowed:
        return False  # a Quantity without its unit: a search for an amount looks at the unit's words too
    return any(all(f"{path}.{part}" in allowed for part in parts) for parts in _SEARCHED)


def _plain(path: str, type_: str) -> str:
    """Reduce a FHIRPath expression of a search parameter to the element it reads."""
    bare = re.sub(r"\.(?:where|as|ofType|resolve|exists)\(.*", "", path.strip().strip("()"))
    bare = re.sub(r"\s+as\s+\w+$", "", bare.strip("() ")).removesuffix("[x]")
    return bare.removeprefix(f"{type_}.")
