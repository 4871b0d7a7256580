"""HTTP answers: status, headers, bytes.

Spec: https://hl7.org/fhir/R4/http.html#versioning
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from chartloop.kernel.errors import ChartloopError
from fhir_server.http.negotiation import Preferences
from fhir_server.http.outcome import outcome, status_of, written_issues
from fhir_server.media_types import FHIR_JSON
from fhir_server.preconditions import etag, known_already
from fhir_server.store import Stored, Written

JSON_HEADER: Final = ("Content-Type", FHIR_JSON)
VARY: Final = ("Vary", "Accept, Accept-Encoding")


class HttpAnswer(NamedTuple):
    """What goes back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def json_answer(body: bytes, status: int = 200, *headers: tuple[str, str]) -> HttpAnswer:
    """Answer with FHIR JSON; it leaves in the format that was asked for."""
    return HttpAnswer(status, (JSON_HEADER, VARY, *headers), body)


def http_date(us: int) -> str:
    """Write a time as HTTP does, in whole seconds."""
    return _http_second(us // 1_000_000)


@lru_cache(maxsize=4096)
def _http_second(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)


def stored_answer(stored: Stored, environ: Mapping[str, Any]) -> HttpAnswer:
    """Answer a read: the body, or 304 if the client has it."""
    tag = etag(stored)
    headers = (("ETag", tag), ("Last-Modified", http_date(stored.updated)))
    if _has_it(environ, tag, stored):
        return HttpAnswer(304, (VARY, *headers), b"")
    return json_answer(stored.body, 200, *headers)


def _has_it(environ: Mapping[str, Any], tag: str, stored: Stored) -> bool:
    known, since = str(environ.get("HTTP_IF_NONE_MATCH", "")), str(environ.get("HTTP_IF_MODIFIED_SINCE", ""))
    if not known and not since:
        return False
    try:
        moment = round(parsedate_to_datetime(since).timestamp() * 1_000_000) if since else None
    except (ValueError, OverflowError):
        moment = None
    return known_already(tag, stored.updated, known, moment)


def written_answer(written: Written, base: str, wanted: Preferences) -> HttpAnswer:
    """Answer a create or update as the client prefers; no body where the writer may not read it."""
    stored = written.stored
    headers = [("ETag", etag(stored)), ("Last-Modified", http_date(stored.updated))]
    if written.created:
        headers.append(("Location", f"{base}/{stored.type}/{stored.id}/_history/{stored.version}"))
    status = 201 if written.created else 200
    if wanted.returns == "operationoutcome":
        return json_answer(outcome(written_issues(written)), status, *headers)
    if wanted.returns == "minimal" or not stored.body:
        return HttpAnswer(status, tuple(headers), b"")
    return json_answer(stored.body, status, *headers)


def deleted_answer(written: Written, wanted: Preferences) -> HttpAnswer:
    """Answer a delete; version 0: there was nothing to delete."""
    version = written.stored.version
    headers = (("ETag", f'W/"{version}"'),) if version else ()
    return json_answer(outcome(written_issues(written)), 200, *headers) if wanted.returns == "operationoutcome" else HttpAnswer(204, headers, b"")


def error_answer(error: ChartloopError) -> HttpAnswer:
    """Answer a failure with its OperationOutcome."""
    status = status_of(error)
    extra = {401: (("WWW-Authenticate", "Bearer"),), 429: (("Retry-After", "1"),), 503: (("Retry-After", "1"),)}
    return json_answer(outcome(error.issues), status, *extra.get(status, ()))
