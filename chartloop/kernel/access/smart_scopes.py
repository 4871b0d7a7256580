"""SMART scopes, v1 and v2: reading them, comparing them, narrowing one set by another.

A scope with search parameters (`user/Observation.rs?category=laboratory`) is compared letter by letter as it is written; which rows it
grants is said in `granular`.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CONTEXT_SCOPES: Final = frozenset({"launch", "launch/patient", "launch/encounter", "openid", "fhirUser", "profile", "offline_access", "online_access"})
_V1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
# Search parameters belong to version 2 alone, and are of the characters of a scope token (RFC 6749, 3.3).
_SHAPE: Final = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.(?:(read|write|\*)|(?=[cruds])(c?r?u?d?s?)(?:\?([!#-\[\]-~]+))?)")


@dataclass(frozen=True, slots=True)
class SmartScope:
    """One resource scope.

    Attributes:
        context: patient, user or system.
        type: Resource type, or "*".
        letters: Permissions among c r u d s, in this order.
        query: Search parameters that narrow it, as written; "" = none.
    """

    context: str
    type: str
    letters: str
    query: str = ""

    def __str__(self) -> str:
        """Write the scope in its v2 form."""
        return f"{self.context}/{self.type}.{self.letters}{'?' if self.query else ''}{self.query}"


def parse(text: str) -> SmartScope | None:
    """Read one scope; None when it is no resource scope (openid, launch/patient …) or is malformed."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    context, type_, version_1, letters, query = match.groups()
    return SmartScope(context, type_, _V1[version_1] if version_1 else letters, query or "")


def parse_all(scopes: Iterable[str]) -> tuple[SmartScope, ...]:
    """Read the resource scopes among several."""
    return tuple(scope for scope in map(parse, scopes) if scope is not None)


def covers(wide: SmartScope, narrow: SmartScope) -> bool:
    """Whether everything that one scope grants is granted by another; other search parameters are never the same ones."""
    return (
        wide.context == narrow.context
        and wide.type in {"*", narrow.type}
        and set(narrow.letters) <= set(wide.letters)
        and wide.query in {"", narrow.query}
    )


def narrow(requested: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Grant what was requested where it is allowed as a whole; of scopes that are no resource scopes, those of the launch context by name.

    Returns:
        Scopes to grant, each as it was written, in the order of the request, without duplicates.
    """
    permitted = tuple(allowed)
    known, context = parse_all(permitted), CONTEXT_SCOPES.intersection(permitted)

    def granted(text: str) -> bool:
        wanted = parse(text)
        return text in context if wanted is None else any(covers(wide, wanted) for wide in known)

    return tuple(text for text in dict.fromkeys(requested) if granted(text))
