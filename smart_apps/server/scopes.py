"""SMART scopes: read both versions, and grant what was asked for only as far as it was registered.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RESOURCE_SCOPE = re.compile(r"(?P<level>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]*)\.(?P<rights>[a-z*]+)(?P<query>\?.+)?")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_VERSION_2 = re.compile(r"c?r?u?d?s?")
CONTEXT_SCOPES = frozenset({"launch", "openid", "fhirUser"})


@dataclass(frozen=True, slots=True)
class ResourceScope:
    """One scope over resources, in the terms of version 2."""

    level: str
    type: str
    rights: str
    query: str = ""

    def covers(self, other: ResourceScope) -> bool:
        """Tell whether whoever holds this scope holds the other one too."""
        return self.level == other.level and self.type in ("*", other.type) and set(other.rights) <= set(self.rights) and self.query in ("", other.query)

    def __str__(self) -> str:
        return f"{self.level}/{self.type}.{self.rights}{self.query}"


def parse_scope(token: str) -> ResourceScope | None:
    """Read one resource scope of version 1 or 2; None for anything else, letters out of order included."""
    found = _RESOURCE_SCOPE.fullmatch(token)
    if found is None:
        return None
    rights, query = found["rights"], found["query"] or ""
    if rights in _VERSION_1:
        return None if query else ResourceScope(found["level"], found["type"], _VERSION_1[rights])
    if not _VERSION_2.fullmatch(rights):
        return None
    return ResourceScope(found["level"], found["type"], rights, query)


def granted_scope(requested: str, registered: str) -> str:
    """Give the requested scopes that the registration covers, each as it was written, none twice."""
    known = [scope for scope in map(parse_scope, registered.split()) if scope is not None]
    context = CONTEXT_SCOPES & set(registered.split())

    def allowed(token: str) -> bool:
        wanted = parse_scope(token)
        if wanted is None:
            return token in context
        return any(scope.covers(wanted) for scope in known)

    return " ".join(token for token in dict.fromkeys(requested.split()) if allowed(token))


def resource_scopes(scope: str) -> tuple[str, ...]:
    """Give the resource scopes of a grant in version 2 form, for the access decision."""
    return tuple(str(parsed) for parsed in map(parse_scope, scope.split()) if parsed is not None)
