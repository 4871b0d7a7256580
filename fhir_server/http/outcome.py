"""Failures as OperationOutcome: the one place where a category becomes a status.

Spec: https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from chartloop.kernel.errors import ChartloopError, Issue
from fhir_server.store import Written

STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "invalid": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "not-found": 404,
        "method-not-allowed": 405,
        "not-acceptable": 406,
        "conflict": 409,
        "gone": 410,
        "precondition-failed": 412,
        "too-large": 413,
        "unsupported-media": 415,
        "unprocessable": 422,
        "throttled": 429,
        "internal": 500,
        "unavailable": 503,
    }
)

REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        200: "OK",
        201: "Created",
        202: "Accepted",
        204: "No Content",
        304: "Not Modified",
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        406: "Not Acceptable",
        409: "Conflict",
        410: "Gone",
        412: "Precondition Failed",
        413: "Content Too Large",
        415: "Unsupported Media Type",
        422: "Unprocessable Content",
        429: "Too Many Requests",
        500: "Internal Server Error",
        503: "Service Unavailable",
    }
)


class NotAcceptable(ChartloopError):
    """Only JSON and XML are spoken here."""

    category = "not-acceptable"
    code = "not-supported"


def status_of(error: ChartloopError) -> int:
    """HTTP status of a failure."""
    return STATUS[error.category]


def outcome(issues: Iterable[Issue]) -> bytes:
    """Render issues."""
    listed = [
        {
            "severity": issue.severity,
            "code": issue.code,
            "diagnostics": issue.text,
            **({"expression": [issue.expression]} if issue.expression else {}),
        }
        for issue in issues
    ]
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": listed})


def written_issues(written: Written) -> tuple[Issue, ...]:
    """Say what was stored unchecked, or how many resources a delete took and how many it may not take, or that all went well."""
    if not written.stored.deleted:
        return written.warnings or (Issue("information", "informational", "Done."),)
    taken = Issue("information", "informational", f"Deleted: {written.taken if written.changed else 0}.")
    if not written.left:
        return (taken,)
    return taken, Issue("warning", "forbidden", f"Not yours to delete, and still there: {written.left}.")
