"""Which scopes a request can be granted: registered, meaningful in this flow, and such that they can be enforced exactly.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chartloop.kernel.access.smart_scopes import CONTEXT_SCOPES, covers, narrow, parse, parse_all

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject

Enforceable = Callable[[str], bool]
"""Whether a resource scope can be enforced exactly, parameters included."""

LAUNCH_PATIENT = "launch/patient"
LAUNCH_ENCOUNTER = "launch/encounter"
OFFLINE = "offline_access"
ONLINE = "online_access"


def plain(text: str) -> bool:
    """Enforce what has no search parameters; for a server that is told nothing else."""
    found = parse(text)
    return found is not None and not found.query


def for_person(scopes: list[str], subject: Subject, enforceable: Enforceable) -> list[str]:
    """Drop what a person cannot grant: rights of systems, what cannot be enforced, and a fhirUser where the chart knows none."""

    def kept(text: str) -> bool:
        found = parse(text)
        if found is None:
            return text in CONTEXT_SCOPES and (text != "fhirUser" or bool(subject.user or subject.patient))
        return found.context != "system" and enforceable(text)

    return [text for text in dict.fromkeys(scopes) if kept(text)]


def for_backend(requested: str, registered: str, enforceable: Enforceable) -> list[str]:
    """Keep the rights of systems that a backend service was registered for."""
    granted = narrow(requested.split(), registered.split())
    return [text for text in granted if (found := parse(text)) is not None and found.context == "system" and enforceable(text)]


def wants_patient(scopes: list[str]) -> bool:
    """Whether these scopes need a patient in context."""
    return LAUNCH_PATIENT in scopes or any(scope.context == "patient" for scope in parse_all(scopes))


def within(requested: str, granted: tuple[str, ...]) -> list[str] | None:
    """Narrow a grant to what a refresh asks for; None when it asks for more than the grant holds."""
    wanted, held = list(dict.fromkeys(requested.split())), parse_all(granted)

    def inside(text: str) -> bool:
        found = parse(text)
        return text in granted if found is None else any(covers(wide, found) for wide in held)

    return wanted if wanted and all(map(inside, wanted)) else None
