"""Every request is a part of a trace: of its caller's, when that is said in the header traceparent, else of a new one.

Of a request its method, status and interaction are told; never its address, which names who it is about.
Spec: https://www.w3.org/TR/trace-context/, https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

from collections.abc import Iterable

from chartloop.kernel import tracing
from chartloop.kernel.http import Environ, StartResponse, WsgiApp
from chartloop.measured import interaction_of

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def traced(app: WsgiApp) -> WsgiApp:
    """Wrap an application; the span ends when the answer is ready."""

    def wrapped(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        parent = tracing.read(environ.get("HTTP_TRACEPARENT", ""))
        if not tracing.is_told():  # most of what a span costs is what is said of it
            with tracing.span("http", parent=parent):
                return app(environ, start_response)
        method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in _METHODS else "_OTHER"
        said = {"http.request.method": method, "chartloop.interaction": interaction_of(environ["REQUEST_METHOD"], environ["PATH_INFO"])}
        with tracing.span("http", said, parent=parent, kind="server") as active:

            def start(status: str, *rest: object) -> object:
                active.set("http.response.status_code", int(status[:3]))
                return start_response(status, *rest)

            return app(environ, start)

    return wrapped
