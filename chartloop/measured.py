"""Count and time every answer, by interaction; a path itself never becomes a label."""

from __future__ import annotations

from collections.abc import Iterable

from chartloop.kernel import clock
from chartloop.kernel.http import Environ, StartResponse, WsgiApp
from chartloop.kernel.metrics import Metrics

PAGES = frozenset({"account", "ehr", "login", "logout", "oauth", "operations", "privacy"})
BY_METHOD = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def measured(app: WsgiApp, metrics: Metrics) -> WsgiApp:
    """Wrap an application; the time ends when the answer is ready, its audit record included."""

    def wrapped(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started = clock.perf_s()
        interaction = interaction_of(environ["REQUEST_METHOD"], environ["PATH_INFO"])

        def start(status: str, *rest: object) -> object:
            metrics.requests.labels(interaction, status[:3]).inc()
            return start_response(status, *rest)

        answer = app(environ, start)
        metrics.request_seconds.labels(interaction).observe(clock.perf_s() - started)
        return answer

    return wrapped


def interaction_of(method: str, path: str) -> str:
    """What a request is counted as, one of metrics.INTERACTIONS."""
    parts = path.strip("/").split("/")
    if parts[0] == "cds-services" and len(parts) == 2 and method == "POST":
        return "card"
    if parts[0] != "fhir":
        return "page" if parts[0] in PAGES else "other"
    if len(parts) == 1:
        return "bundle" if method == "POST" else "other"
    if "_history" in parts:
        return "vread" if len(parts) == 5 else "history"
    if method in ("GET", "HEAD"):
        return "read" if len(parts) == 3 else "search"
    return "search" if parts[-1] == "_search" else BY_METHOD.get(method, "other")
