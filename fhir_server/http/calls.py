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
from chartloop.kernel.http import bearer_token, request_id
from fhir_server.audit_event import AuditEvents
from fhir_server.background.jobs import AsyncJobs
from fhir_server.http.allowing import ACCEPT_PATCH
from fhir_server.http.answer import HttpAnswer, error_answer
from fhir_server.http.content_coding import read_coded, takes_gzip
from fhir_server.http.negotiation import answer_format, is_search_form, patch_kind, require_body_kind, wants_pretty
from fhir_server.http.outcome import NotAcceptable
from fhir_server.http.rendering import rendered
from fhir_server.media_types import JSON, Format, Kind
from fhir_server.repository import Repository
from fhir_server.xml.reading import xml_to_json

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
    """A request that was let in; its body is JSON by now, or the form of a search."""

    scope: Scope
    environ: Mapping[str, Any]
    body: bytes
    query: str
    wanted: Format = JSON
    pretty: bool = False


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
        wanted, pretty = answer_format(environ), wants_pretty(str(environ.get("QUERY_STRING", "")))
        try:
            call = self._let_in(environ, action, target, wanted, bulk=bulk, streamed=streamed)
            wanted, pretty = call.wanted, call.pretty
            return rendered(work(call), wanted, pretty=pretty, gzip=takes_gzip(environ))
        except ChartloopError as error:
            answer = _refused(error, environ)
        except Exception as error:
            answer = error_answer(self._unknown(error, call.scope if call else Scope(NOBODY, action), target))
        return rendered(answer, wanted or JSON, pretty=pretty, gzip=takes_gzip(environ))

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

    def _let_in(self, environ: dict[str, Any], action: str, target: str, wanted: Format | None, *, bulk: bool, streamed: bool) -> Call:
        subject = NOBODY
        number = str(environ.get("chartloop.request_id") or request_id(environ))
        query = str(environ.get("QUERY_STRING", ""))
        try:
            subject = environ.get(SUBJECT) or self.authenticate(bearer_token(environ))
            if "\x00" in target:  # no id holds it, and PostgreSQL takes none
                raise NotFound
            if wanted is None:
                raise NotAcceptable
            body = b"" if streamed else self._body(environ, subject, bulk=bulk)
            form = body.decode("latin-1") if body and is_search_form(environ) else ""
            if form and (wanted := answer_format(environ, form)) is None:
                raise NotAcceptable
        except ChartloopError as error:
            self.repository.refused(Scope(subject, action, number), target, error)
            raise
        return Call(Scope(subject, action, number), environ, body, query, wanted, wants_pretty(form) or wants_pretty(query))

    def _body(self, environ: dict[str, Any], subject: Subject, *, bulk: bool) -> bytes:
        """Read a body; one of FHIR comes out as JSON."""
        method = environ["REQUEST_METHOD"]
        if method not in ("POST", "PUT", "PATCH"):
            return b""
        if str(environ.get("CONTENT_LENGTH") or "0") == "0" and "HTTP_TRANSFER_ENCODING" not in environ and "/$" in str(environ["PATH_INFO"]):
            return b""  # an operation without parameters
        kind = None
        if method == "PATCH":
            kind = patch_kind(environ)
        elif not is_search_form(environ):
            kind = require_body_kind(environ)
        system = any(scope.startswith("system/") for scope in subject.scopes)
        body = read_coded(environ, self.limits.bulk_bytes if bulk and system else self.limits.body_bytes)
        return xml_to_json(body) if kind is Kind.XML else body


def _refused(error: ChartloopError, environ: Mapping[str, Any]) -> HttpAnswer:
    answer = error_answer(error)
    if answer.status != 415:
        return answer
    taken = (ACCEPT_PATCH,) if environ["REQUEST_METHOD"] == "PATCH" else ()
    return answer._replace(headers=(*answer.headers, *taken, ("Accept-Encoding", "gzip")))
