"""Who looks at the research database: decided by the policies and recorded in the audit log, like every other access.

Spec: https://docs.cedarpolicy.com/auth/authorization.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import ChartloopError, Forbidden

TYPE: Final = "omop"
READ, TEXT, LINEAGE = "omop-read", "omop-text", "omop-lineage"
_RESEARCH: Final = RowAttributes(TYPE, frozenset(), "", "", "")
_NOBODY: Final = Subject(id="anonymous", role="")
_OURS: Final = frozenset({"unavailable", "internal"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and what they may see."""

    subject: Subject
    request: str
    words: bool
    lineage: bool


@dataclass(frozen=True, slots=True)
class Guard:
    """Lets people in, and writes down what they saw.

    Attributes:
        access: The policies.
        audit: The audit log.
        who: Finds who sent the request that is being answered, or raises Unauthenticated.
    """

    access: Access
    audit: Audit
    who: Callable[[], Subject]

    def let_in(self, request: str, target: str) -> Visitor:
        """Let a reader of the tables in; a refusal is recorded before its answer leaves.

        Raises:
            Unauthenticated: Nobody is known to ask.
            Forbidden: The policies do not let this one read the tables.
        """
        subject = _NOBODY
        try:
            subject = self.who()
            if not self._may(subject, READ, request):
                raise Forbidden("Your role has no right to the research database.")
        except ChartloopError as error:
            self.refused(subject, request, target, error)
            raise
        return Visitor(subject, request, self._may(subject, TEXT, request), self._may(subject, LINEAGE, request))

    def refused(self, subject: Subject, request: str, target: str, error: ChartloopError, *, query: str = "") -> None:
        """Record that somebody did not get what they asked for."""
        outcome = "8" if error.category in _OURS else "4"
        self.audit.access(AuditRecord("R", READ, outcome, subject, (target,), (), query, request, error.category))

    def shown(self, visitor: Visitor, targets: Iterable[str], patients: Iterable[str], *, query: str = "", lineage: bool = False) -> None:
        """Record what is about to be shown, and whom it concerns; when that cannot be written, nothing is shown."""
        action = LINEAGE if lineage else READ
        self.audit.access(AuditRecord("R", action, "0", visitor.subject, tuple(targets), tuple(patients), query, visitor.request))

    def _may(self, subject: Subject, action: str, request: str) -> bool:
        return self.access.decides(Scope(subject, action, request), _RESEARCH)
