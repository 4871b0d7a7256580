"""In front of the door: who asks, and whether the request can be read at all. Refusals are audited.

Spec: https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import ChartloopError, NotFound
from chartloop.kernel.http import bearer_token, read_body, request_id
from fhir_server.audit_event import AuditEvents
from fhir_server.background.jobs import AsyncJobs
from fhir_server.http.answer import HttpAnswer, error_answer, prettily
from fhir_server.http.negotiation import FORM, patch_type, require_json_answer, require_json_body
from fhir_server.repository import Repository

Authenticate = Callable[[str], Subject]
"""Finds whose a token is, or raises Unauthenticated."""

_log = logging.getLogger(__name__)
SUBJECT: Final = "chartloop.subject"
"""Who asks, of a job whose subject is known: headers come under HTTP_ and reach no such name."""

NOBODY: Final = Subject(id="anonymous", role="")


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest bodies."""

    body_bytes: int = 5_000_000
    bulk_bytes: int = 64_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in."""

    scope: Scope
    environ: Mapping[str, Any]
    body: bytes
    query: str


Work = Callable[[Call], HttpAnswer]


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests in and turns every failure into an answer."""

    repository: Repository
    authenticate: Authenticate
    base: str
    limits: Limits
    audit_events: AuditEvents | None = None
    """Readers' view of the audit log; AuditEvents are no stored resources."""
    jobs: AsyncJobs | None = None
    """Requests that are answered later; without them every one is answered at once."""

    def answer(self, environ: dict[str, Any], action: str, target: str, work: Work, *, bulk: bool = False, streamed: bool = False) -> HttpAnswer:
        """Let a request in and do its work; a streamed body, of whatever type, is left for the work to read."""
        call: Call | None = None
        try:
            call = self._let_in(environ, action, target, bulk=bulk, streamed=streamed)
            return prettily(work(call), call.query)
        except ChartloopError as error:
            return prettily(error_answer(error), str(environ.get("QUERY_STRING", "")))
        except Exception as error:
            return error_answer(self._unknown(error, call.scope if call else Scope(NOBODY, action), target))

    def _unknown(self, error: Exception, scope: Scope, target: str) -> ChartloopError:
        """Record a failure of the program: its text may quote a patient, so only its kind and place are logged."""
        place = traceback.format_tb(error.__traceback__)[-3:]
        _log.error("A request failed.", extra={"action": "request.failed", "kind": type(error).__name__, "place": place})
        internal = ChartloopError("Something went wrong inside; nothing more is known.")
        try:
            self.repository.refused(scope, target, internal)
        except ChartloopError as unavailable:
            return unavailable
        return internal

    def _let_in(self, environ: dict[str, Any], action: str, target: str, *, bulk: bool, streamed: bool) -> Call:
        subject = NOBODY
        number = str(environ.get("chartloop.request_id") or request_id(environ))
        try:
            subject = environ.get(SUBJECT) or self.authenticate(bearer_token(environ))
            if "\x00" in target:  # no id holds it, and PostgreSQL takes none
                raise NotFound
            require_json_answer(environ)
            body = b"" if streamed else self._body(environ, subject, bulk=bulk)
        except ChartloopError as error:
            self.repository.refused(Scope(subject, action, number), target, error)
            raise
        return Call(Scope(subject, action, number), environ, body, str(environ.get("QUERY_STRING", "")))

    def _body(self, environ: dict[str, Any], subject: Subject, *, bulk: bool) -> bytes:
        if environ["REQUEST_METHOD"] not in ("POST", "PUT", "PATCH"):
            return b""
        if environ["REQUEST_METHOD"] == "PATCH":
            patch_type(environ)
            return read_body(environ, self.limits.body_bytes)
        form = str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower() == FORM
        if str(environ.get("CONTENT_LENGTH") or "0") == "0" and "HTTP_TRANSFER_ENCODING" not in environ and "/$" in str(environ["PATH_INFO"]):
            return b""  # an operation without parameters
        if not (form and str(environ["PATH_INFO"]).endswith("/_search")):
            require_json_body(environ)
        system = any(scope.startswith("system/") for scope in subject.scopes)
        return read_body(environ, self.limits.bulk_bytes if bulk and system else self.limits.body_bytes)
