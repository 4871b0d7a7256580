"""A write from its preparation to its end: prepared outside the lock, stored in one short transaction, prepared again where that was too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Conflict
from fhir_server.relabelling import with_heirs
from fhir_server.store import Also, Store
from fhir_server.writing import Batch, Stale, apply

ATTEMPTS: Final = 20


def commit(store: Store, scope: Scope, prepare: Callable[[], Batch], also: Also | None) -> Any:
    """Prepare and store; prepare again when something has changed in between."""
    for _ in range(ATTEMPTS):
        try:
            batch = with_heirs(store, prepare())
            store.db.write(lambda tx, batch=batch: apply(store, scope, tx, batch, also))  # type: ignore[misc]
        except Stale:
            continue
        return batch.result
    raise Conflict("This resource is being changed by others again and again; try again.")
