"""Every request leaves a record: one that left none of its own is recorded by its address and its answer, before the answer leaves.

What stands in PUBLIC needs none: it is the same for everybody and says nothing of anybody.
Spec: 45 CFR 164.312(b) (audit controls), https://www.rfc-editor.org/rfc/rfc9110#section-9
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.http import API_HEADERS, WHO, Environ, StartResponse, WsgiApp, request_id

REQUEST: Final = "request"
"""Interaction of a record that says no more than address and answer."""

PUBLIC: Final[Mapping[str, str]] = MappingProxyType(
    {
        r"/(healthz|readyz|metrics)": "says whether the server is well, to whoever watches it; it knows no patient",
        r"(/fhir)?/\.well-known/(smart-configuration|openid-configuration)": "describes the server, the same for everybody",
        r"/fhir/(metadata(/OperationDefinition(/[^/]+)?)?|openapi\.json)": "describes the server, the same for everybody",
        r"/oauth/jwks": "holds public keys",
        r"/cds-services": "lists the services, the same for everybody",
        r"/cds-services/models/[^/]+": "is the label of a model, written for everybody",
        r"(/[a-z\-]+)+/static/[^/]+|/explorer/[^/]+\.css": "is a style sheet, a script or a picture of this product",
    }
)
"""Addresses that anybody may GET without a record, and why."""

NOBODY: Final = Subject(id="anonymous", role="")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ACTIONS: Final[Mapping[str, str]] = MappingProxyType({"GET": "R", "HEAD": "R", "OPTIONS": "R", "PUT": "U", "PATCH": "U", "DELETE": "D"})
_PUBLIC: Final = re.compile("|".join(f"(?:{pattern})" for pattern in PUBLIC))
_FAILED, _OURS = 400, 500
_LONGEST: Final = 200


def with_every_request_audited(app: WsgiApp, audit: Audit) -> WsgiApp:
    """Wrap an application; when the record of a request cannot be written, its answer is 503 without a body."""

    def wrapped(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        number = audit.requests.begin(request_id(environ), str(environ.get("REMOTE_ADDR", ""))[:_LONGEST])
        environ["chartloop.request_id"] = number
        held: list[tuple[Any, ...]] = []
        body: Iterable[bytes] = ()
        try:
            body = app(environ, lambda *said: held.append(said))
            if not audit.requests.is_recorded(number):
                _record(audit, environ, number, int(str(held[-1][0])[:3]))
        except Unavailable:
            if held and str(held[-1][0]).startswith("503"):  # it says so itself, and discloses nothing
                start_response(held[-1][0], _with_retry(held[-1][1]))
                return body
            getattr(body, "close", lambda: None)()
            _refuse(start_response, number)
            return []
        except Exception:
            if not audit.requests.is_recorded(number):
                _record(audit, environ, number, _OURS)
            raise
        finally:
            audit.requests.end(number)
        start_response(*held[-1])
        return body

    return wrapped


def needs_none(method: str, path: str, status: int) -> bool:
    """Whether an answer is one of those that everybody may have without a record."""
    return method in _READING and status < _FAILED and _PUBLIC.fullmatch(path) is not None


def _record(audit: Audit, environ: Mapping[str, Any], number: str, status: int) -> None:
    method, path = str(environ["REQUEST_METHOD"])[:20], _path(environ)
    if needs_none(method, path, status):
        return
    outcome = "8" if status >= _OURS else "4" if status >= _FAILED else "0"
    reason = f"HTTP {status}" if status >= _FAILED else ""
    who = environ.get(WHO) or NOBODY
    audit.access(AuditRecord(_ACTIONS.get(method, "E"), REQUEST, outcome, who, (f"{method} {path[:_LONGEST]}",), (), request=number, reason=reason))


def _path(environ: Mapping[str, Any]) -> str:
    """The address without its query, which may hold a ticket or a code."""
    return str(environ.get("PATH_INFO", "")).encode("latin-1", "replace").decode("utf-8", "replace")


def _with_retry(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    said = list(headers)
    return said if any(name.lower() == "retry-after" for name, _ in said) else [*said, ("Retry-After", "1")]


def _refuse(start_response: Callable[..., Any], number: str) -> None:
    start_response("503 Service Unavailable", [*API_HEADERS.items(), ("X-Request-Id", number), ("Retry-After", "1"), ("Content-Length", "0")])
