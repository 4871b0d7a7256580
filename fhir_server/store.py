"""What every interaction works with: database, policies, audit, outbox, labels, codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.errors import Forbidden, Issue
from chartloop.kernel.outbox import Outbox
from fhir_server.codec import Codec
from fhir_server.indexing.vocabulary import Vocabulary
from fhir_server.search.registry import Registry
from fhir_server.search.terminology import NoTerminology, Terminology
from fhir_server.validation.resources import Validated

Also = Callable[[Tx], None]
"""More work in the database transaction of a write."""

LabelsOf = Callable[[str], frozenset[str]]
"""Labels of a stored resource by its reference ("Type/id")."""


Label = Callable[[str, Mapping[str, Any]], frozenset[str]]
"""Labels of a resource that is being written, by its type and parsed body."""


class Labeller(Protocol):
    """The security labelling service."""

    def labels(self, type_: str, resource: Mapping[str, Any], lookup: LabelsOf) -> frozenset[str]:
        """Sensitivity codes of a resource, with what it inherits from the resources it refers to."""
        ...

    def inherited_references(self, type_: str, resource: Mapping[str, Any]) -> tuple[str, ...]:
        """References whose labels a resource takes over."""
        ...


class Stored(NamedTuple):
    """One version of a resource, as this reader may see it."""

    type: str
    id: str
    version: int
    updated: int
    body: bytes
    redacted: bool
    deleted: bool
    method: str = "PUT"

    def json(self) -> dict[str, Any]:
        """Parse the body."""
        parsed: dict[str, Any] = msgspec.json.decode(self.body)
        return parsed


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did. The body of `stored` is empty where the writer may not read what was written."""

    stored: Stored
    created: bool
    changed: bool
    validated: Validated | None = None
    taken: int = 1
    """How many resources a conditional delete took."""
    left: int = 0
    """How many more match its condition and are not this writer's to delete."""
    notes: tuple[Issue, ...] = ()
    """What of it could not be counted, such as a part of a Consent."""

    @property
    def warnings(self) -> tuple[Issue, ...]:
        """What was stored without having been checked; computed when asked for."""
        return (*(self.validated.warnings if self.validated else ()), *self.notes)


class Page(NamedTuple):
    """One page of a search or a history."""

    entries: tuple[Stored, ...]
    included: tuple[Stored, ...]
    total: int | None
    next: str | None
    self_query: str
    warnings: tuple[Issue, ...] = ()
    previous: str | None = None
    address: str = ""
    """Where it was asked for, of a page inside a Bundle."""


@dataclass(frozen=True, slots=True)
class Store:
    """The dependencies of the interactions."""

    db: Database
    access: Access
    audit: Audit
    outbox: Outbox
    labeller: Labeller
    codec: Codec
    secret: bytes
    base: str
    full_text: bool = False
    """Whether the words of texts are indexed."""
    parameters: Registry = field(default_factory=Registry)
    """The search parameters of this moment."""
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    terminology: Terminology = field(default_factory=NoTerminology)
    delete_most: int = 1
    care_after_us: int = 365 * 86_400_000_000
    """How long after a visit who took part in it still treats the patient."""
    glass_minutes: float = 15.0
    """How long broken glass stays open."""
    """Most resources that one conditional delete takes; 1: it needs a single match."""


def acting(scope: Scope, action: str) -> Scope:
    """Return the scope of this interaction, whatever the request as a whole was."""
    return scope if scope.action == action else Scope(scope.subject, action, scope.request)


def require(store: Store, scope: Scope, type_: str) -> None:
    """Refuse what is decided without looking at a row."""
    if not store.access.permits(scope, type_):
        raise Forbidden(f"{scope.action} on {type_ or 'the system'} is not permitted.")
