"""One audit record per request: granted ones with what was disclosed, refused ones with the reason's category."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Final

from chartloop.kernel.access.purposes import EMERGENCY
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.errors import ChartloopError
from fhir_server.store import Store

_ACTIONS: Final = {"create": "C", "update": "U", "patch": "U", "delete": "D", "search": "E", "transaction": "E", "batch": "E", "operation": "E", "consent-changed": "U"}
_OURS: Final = frozenset({"unavailable", "internal"})


def record(
    scope: Scope, targets: Iterable[str], patients: Iterable[str], *, query: str = "", outcome: str = "0", reason: str = ""
) -> AuditRecord:
    """Compose the record of a request; one that concerns a patient whose glass is broken was made in an emergency."""
    concerned = {patient for patient in patients if patient}
    emergency = not concerned.isdisjoint(scope.subject.emergency)
    return AuditRecord(
        action=_ACTIONS.get(scope.action, "R"),
        interaction=scope.action,
        outcome=outcome,
        subject=replace(scope.subject, purpose=EMERGENCY) if emergency else scope.subject,
        targets=tuple(targets),
        patients=tuple(sorted(concerned)),
        query=query,
        request=scope.request,
        reason=reason,
    )


class refusals_audited:  # noqa: N801 - read as a clause: with refusals_audited(...)
    """Make a refusal durable in the audit log before its answer leaves."""

    __slots__ = ("_query", "_scope", "_store", "_target")

    def __init__(self, store: Store, scope: Scope, target: str, query: str = "") -> None:
        """Take what the record of a refusal says."""
        self._store, self._scope, self._target, self._query = store, scope, target, query

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Record a refusal, and let it go on."""
        if isinstance(error, ChartloopError):
            refused(self._store, self._scope, self._target, error, self._query)


def refused(store: Store, scope: Scope, target: str, error: ChartloopError, query: str = "") -> None:
    """Record one refusal."""
    outcome = "8" if error.category in _OURS else "4"
    store.audit.access(record(scope, (target,), (), query=query, outcome=outcome, reason=error.category))
