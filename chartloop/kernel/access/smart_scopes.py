"""SMART scopes, v1 and v2: reading them, comparing them, narrowing one set by another.

A scope with search parameters (`user/Observation.rs?category=laboratory`) is understood and compared; it grants no row here,
because a row is decided on its attributes alone.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LETTERS: Final = "cruds"
_V1: Final = {"read": "rs", "write": "cud", "*": LETTERS}
_SHAPE: Final = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(read|write|\*|c?r?u?d?s?)(?:\?(.+))?")


@dataclass(frozen=True, slots=True)
class SmartScope:
    """One resource scope.

    Attributes:
        context: patient, user or system.
        type: Resource type, or "*".
        letters: Permissions among c r u d s, in this order.
        query: Search parameters that narrow it, sorted; empty = none.
    """

    context: str
    type: str
    letters: str
    query: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Write the scope in its v2 form."""
        tail = f"?{'&'.join(sorted(self.query))}" if self.query else ""
        return f"{self.context}/{self.type}.{self.letters}{tail}"


def parse(text: str) -> SmartScope | None:
    """Read one scope; None when it is no resource scope (openid, launch/patient …) or is malformed."""
    match = _SHAPE.fullmatch(text)
    if match is None or not match[3]:
        return None
    query = frozenset(match[4].split("&")) if match[4] else frozenset[str]()
    return SmartScope(match[1], match[2], _V1.get(match[3], match[3]), query)


def parse_all(scopes: Iterable[str]) -> tuple[SmartScope, ...]:
    """Read the resource scopes among several."""
    return tuple(scope for scope in map(parse, scopes) if scope is not None)


def covers(wide: SmartScope, narrow: SmartScope) -> bool:
    """Whether everything that one scope grants is granted by another."""
    return (
        wide.context == narrow.context
        and wide.type in {"*", narrow.type}
        and set(narrow.letters) <= set(wide.letters)
        and wide.query <= narrow.query
    )


def meet(first: SmartScope, second: SmartScope) -> SmartScope | None:
    """What two scopes both grant, None when that is nothing."""
    if first.context != second.context or (first.type != second.type and "*" not in {first.type, second.type}):
        return None
    letters = "".join(letter for letter in LETTERS if letter in first.letters and letter in second.letters)
    type_ = second.type if first.type == "*" else first.type
    return SmartScope(first.context, type_, letters, first.query | second.query) if letters else None


def narrow(requested: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Grant what was requested as far as it is allowed; scopes that are no resource scopes need an exact match.

    Returns:
        Scopes to grant, in the order of the request, without duplicates.
    """
    permitted = tuple(allowed)
    known = parse_all(permitted)
    granted: dict[str, None] = {}
    for text in requested:
        scope = parse(text)
        if scope is None or any(covers(wide, scope) for wide in known):
            granted.update({text: None} if scope is not None or text in permitted else {})
            continue
        granted.update({str(both): None for wide in known if (both := meet(wide, scope)) is not None})
    return tuple(granted)
