"""POST /intake/telemetry/{vendor}: who sends, for whom, and may they; then the intake."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from flask import Blueprint, Response, request

from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import ChartloopError, Forbidden, Invalid, NotFound, UnsupportedMedia
from fhir_server.http.answer import HttpAnswer, error_answer
from ingest.telemetry.intake import Request
from ingest.telemetry.normalising import VENDORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chartloop.kernel.access.engine import Access
    from chartloop.kernel.audit.journal import Audit
    from fhir_server.http.calls import Call, Gate
    from ingest.telemetry.intake import TelemetryIntake

_SUBJECT: Final = re.compile(r"Patient/([A-Za-z0-9.\-]{1,64})")
_ZONE: Final = re.compile(r"[A-Za-z0-9_+\-]{1,40}(?:/[A-Za-z0-9_+\-]{1,40}){0,2}")
_CHARSETS: Final = frozenset({"", "charset=utf-8"})
_JSON: Final = (("Content-Type", "application/json; charset=utf-8"),)
SEND: Final = "send-telemetry"


def blueprint(gate: Gate, access: Access, audit: Audit, intake: TelemetryIntake) -> Blueprint:
    """Make the route."""
    routes = Blueprint("telemetry", __name__)
    door = _Door(gate, access, audit, intake)

    @routes.post("/intake/telemetry/<vendor>")
    def receive(vendor: str) -> Response:
        answer = gate.answer(request.environ, "create", f"telemetry/{vendor}"[:200], door.work(vendor), streamed=True)
        return Response(answer.body, answer.status, list(answer.headers))

    return routes


class _Door:
    """Decides whether a sender may send, and lets the intake do the rest."""

    def __init__(self, gate: Gate, access: Access, audit: Audit, intake: TelemetryIntake) -> None:
        self._gate = gate
        self._access = access
        self._audit = audit
        self._intake = intake

    def work(self, vendor: str) -> Callable[[Call], HttpAnswer]:
        """What is done with a request for a vendor."""

        def receive(call: Call) -> HttpAnswer:
            target = f"telemetry/{vendor}"[:200]
            try:
                asked = _asked(vendor, call)
                self._require(call.scope, asked.subject)
                said, changed = self._intake.receive(call.environ, asked)
                self._taken(call.scope, f"{target}/{said['payload']}", asked.subject)
            except ChartloopError as error:
                self._gate.repository.refused(call.scope, target, error)
                return error_answer(error)
            return HttpAnswer(201 if changed else 200, _JSON, msgspec.json.encode(said))

        return receive

    def _taken(self, scope: Scope, payload: str, subject: str) -> None:
        """Record who sent a payload for whom, also where nothing in it was new: the Observations are written by an engine, and some only later."""
        self._audit.access(AuditRecord("C", SEND, "0", scope.subject, (payload,), (subject,), request=scope.request))

    def _require(self, scope: Scope, subject: str) -> None:
        """Refuse who cannot see the patient or create Observations of this patient, or send one's own.

        Raises:
            NotFound: There is no such patient for this sender.
            Forbidden: The policies do not permit it.
        """
        self._gate.repository.read(scope, *subject.split("/", 1))
        row = RowAttributes("Observation", frozenset(), subject, "", "")
        if not any(self._access.decides(Scope(scope.subject, action, scope.request), row) for action in ("create", SEND)):
            raise Forbidden("Observations of this patient may not be sent.")


def _asked(vendor: str, call: Call) -> Request:
    if vendor not in VENDORS:
        raise NotFound(f"Vendors are {', '.join(sorted(VENDORS))}.")
    _require_media(call.environ, vendor)
    said = parse_qsl(call.query, keep_blank_values=True)
    query = dict(said)
    if len(query) < len(said):  # which of them would count, nobody should have to guess
        raise Invalid("A parameter may be given once.", code="duplicate")
    subject = query.get("subject", "")
    if not _SUBJECT.fullmatch(subject):
        raise Invalid("Name whose readings these are: ?subject=Patient/123.", code="required", expression="subject")
    return Request(subject, vendor, _zone(query.get("timezone", "")), call.scope.subject.id)


def _zone(name: str) -> ZoneInfo | None:
    if not name:
        return None
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise Invalid("The timezone is a name of the IANA database, such as Europe/Berlin.", code="value", expression="timezone")


def _require_media(environ: Mapping[str, object], vendor: str) -> None:
    kind, _, rest = str(environ.get("CONTENT_TYPE", "")).partition(";")
    if kind.strip().lower() not in VENDORS[vendor] or rest.strip().lower().replace('"', "") not in _CHARSETS:
        raise UnsupportedMedia(f"A payload of {vendor} is {' or '.join(sorted(VENDORS[vendor]))}, in UTF-8.")
    if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise UnsupportedMedia("A compressed body is not supported.")
