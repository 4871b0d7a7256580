"""What a person in the EHR may read: the repository under their own scope, and nothing beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chartloop.kernel.access.break_glass import ACTION, TokenVisit, may_break
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Gone, NotFound
from claims.trace import Step, trace
from fhir_server.http.bundle import searchset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chartloop.kernel.access.engine import Access
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.db import Database
    from fhir_server.repository import Repository

Resource = dict[str, Any]
CLINICAL = ("Condition", "Observation", "MedicationRequest", "Encounter", "DocumentReference")
"""Types by which a chart is told to be closed: whoever may see none of them does not treat this patient."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search."""

    resources: tuple[Resource, ...]
    included: dict[str, Resource]
    next: str = ""


NOTHING = Found((), {})


class Chart:
    """The chart as one person may see it."""

    def __init__(self, repository: Repository, database: Database, access: Access, subject: Subject, request: str, *, fhir_base: str) -> None:
        self._repository = repository
        self._database = database
        self._access = access
        self._subject = subject
        self._request = request
        self._fhir_base = fhir_base

    def may(self, action: str, *types: str) -> bool:
        """Tell whether the policies could permit an action on some row of every one of these types."""
        return all(self._access.permits(self._scope(action), type_) for type_ in types)

    def may_take(self, type_: str) -> bool:
        """Tell whether this person could take up a resource of this type that is nobody's yet and carries no label."""
        row = RowAttributes(type=type_, labels=frozenset(), patient="", owner="", insurer="")
        return self._access.decides(self._scope("update"), row)

    def is_closed(self, patient: str) -> bool:
        """Tell whether the clinical record of a patient is closed to this person, by what the policies say and not by what is stored."""
        rows = (RowAttributes(type_, frozenset(), f"Patient/{patient}", "", "") for type_ in CLINICAL)
        return not any(self._repository.would_permit(self._scope("read"), row) for row in rows)

    def may_break_glass(self, patient: str) -> bool:
        """Tell whether this person may open this chart in an emergency."""
        return may_break(self._access, TokenVisit(self._subject.session, self._subject), f"Patient/{patient}")

    def break_glass(self, patient: str, code: str, reason: str) -> None:
        """Open the chart to this session, in an emergency.

        Raises:
            ChartloopError: There is no such patient, the reason is none, or this person may not.
        """
        self._repository.break_glass(self._scope(ACTION), patient, code, reason)

    def mend_glass(self, patient: str) -> None:
        """Close the chart that this session opened."""
        self._repository.mend_glass(self._scope(ACTION), patient)

    @property
    def glass_minutes(self) -> float:
        """How long an emergency lasts."""
        return self._repository.glass_minutes

    def read(self, reference: str) -> Resource | None:
        """Read a resource; None when for this person there is none."""
        type_, _, id_ = reference.partition("/")
        if not id_:
            return None
        try:
            found: Resource = self._repository.read(self._scope("read"), type_, id_).json()
        except (NotFound, Gone, Forbidden):
            return None
        return found

    def search(self, type_: str, query: str) -> Found:
        """Search; a type that is closed to this person has no resources."""
        try:
            page = self._repository.search(self._scope("search"), type_, query)
        except Forbidden:
            return NOTHING
        return Found(
            resources=tuple(stored.json() for stored in page.entries),
            included={f"{stored.type}/{stored.id}": stored.json() for stored in page.included},
            next=page.next or "",
        )

    def resource(self, type_: str, id_: str) -> Resource:
        """Read a resource as it would be sent.

        Raises:
            ChartloopError: There is none for this person, or the type is closed to them.
        """
        found: Resource = self._repository.read(self._scope("read"), type_, id_).json()
        return found

    def bundle(self, type_: str, query: str) -> Resource:
        """Search, and give the first page as the Bundle that the FHIR API would send.

        Raises:
            ChartloopError: The type is closed to this person, or the query is not understood.
        """
        page = self._repository.search(self._scope("search"), type_, query)
        found: Resource = json.loads(searchset(page, self._fhir_base, type_))
        return found

    def way(self, claim: str) -> list[Step] | None:
        """Trace a claim from its note to its payment; None for somebody to whom a part of the way is closed."""
        try:
            return trace(self._repository, self._scope("read"), self._database, claim)
        except (Forbidden, NotFound):
            return None

    def names(self, references: Sequence[str]) -> dict[str, Resource]:
        """Read several resources once each; those that are not visible are absent."""
        read = {reference: self.read(reference) for reference in dict.fromkeys(references) if reference}
        return {reference: resource for reference, resource in read.items() if resource is not None}

    def _scope(self, action: str) -> Scope:
        return Scope(self._subject, action, self._request)
