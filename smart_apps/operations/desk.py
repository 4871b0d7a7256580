"""Who may see the operators' page and decide on it: asked of the policies, and recorded, before anything is read or done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import request

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import ChartloopError, Forbidden, Unauthenticated
from chartloop.kernel.http import WHO
from chartloop.kernel.operating import Operating
from smart_apps.ehr.ehr import check_csrf, request_number
from smart_apps.server.routes import COOKIE
from smart_apps.sessions import EhrSession, Sessions

TYPE: Final = "operations"
READ, OPERATE = "operations-read", "operate"
_ROW: Final = RowAttributes(TYPE, frozenset(), "", "", "")
_NOBODY: Final = Subject(id="anonymous", role="")


@dataclass(frozen=True, slots=True)
class Desk:
    """Lets operators in.

    Attributes:
        access: The policies.
        audit: Where each look and each refusal is recorded; a decision is recorded with what it does.
        sessions: Who is signed in.
        operating: What they may decide.
    """

    access: Access
    audit: Audit
    sessions: Sessions
    operating: Operating

    def let_in(self, target: str) -> EhrSession:
        """Let a reader of the page in, and record the look before anything is read.

        Raises:
            Unauthenticated: Nobody is signed in.
            Forbidden: The policies do not let this one see it.
        """
        session = self._session(READ, target)
        self.audit.access(AuditRecord("R", READ, "0", session.subject, (target,), (), request=request_number()))
        return session

    def let_decide(self, target: str) -> EhrSession:
        """Let an operator decide by a form of their session; what is done records itself.

        Raises:
            Unauthenticated: Nobody is signed in.
            Forbidden: The policies do not let this one decide, or the form is not of this session.
        """
        session = self._session(OPERATE, target)
        try:
            check_csrf(session)
        except Forbidden:
            self._refused(session.subject, OPERATE, target, "csrf")
            raise
        return session

    def may_decide(self, session: EhrSession) -> bool:
        """Whether to offer the buttons."""
        return self._may(session.subject, OPERATE)

    def _session(self, action: str, target: str) -> EhrSession:
        found = self.sessions.find(request.cookies.get(COOKIE))
        try:
            if found is None:
                raise Unauthenticated("Sign in at /login, or enter by the link that your administrator gave you.")
            request.environ[WHO] = found.subject
            if not self._may(found.subject, action):
                raise Forbidden("How the system is has readers of its own, and your role is none of them.")
        except ChartloopError as error:
            self._refused(found.subject if found else _NOBODY, action, target, error.category)
            raise
        return found

    def _may(self, subject: Subject, action: str) -> bool:
        return self.access.decides(Scope(subject, action, request_number()), _ROW)

    def _refused(self, subject: Subject, action: str, target: str, reason: str) -> None:
        self.audit.access(AuditRecord("R" if action == READ else "E", action, "4", subject, (target,), (), request=request_number(), reason=reason))
