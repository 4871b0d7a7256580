"""The scope of one request: a subject and the interaction it wants to perform."""

from __future__ import annotations

from dataclasses import dataclass

from chartloop.kernel.access.subject import Subject


@dataclass(frozen=True, slots=True)
class Scope:
    """What one request is allowed to be decided on.

    Attributes:
        subject: Who asks.
        action: FHIR interaction word (read, vread, search, history, create, update, delete, …).
        request: Request id, for the audit record.
    """

    subject: Subject
    action: str
    request: str = ""
