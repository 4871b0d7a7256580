"""A write from its preparation to its end: prepared outside the lock, stored in one short transaction, prepared again where that was too late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Tx
from chartloop.kernel.errors import Conflict
from fhir_server.defining import TYPE, define
from fhir_server.relabelling import with_heirs
from fhir_server.search.registry import close_fence, fence
from fhir_server.store import Also, Store, acting, require
from fhir_server.writing import Batch, Change, Stale, apply

ATTEMPTS: Final = 20


def commit(store: Store, scope: Scope, prepare: Callable[[], Batch], also: Also | None) -> Any:
    """Prepare and store; prepare again when something has changed in between."""
    for _ in range(ATTEMPTS):
        known = store.parameters.now.version
        try:
            batch = with_heirs(store, prepare())
            defining = _defining(store, scope, batch)
            store.db.write(lambda tx, known=known, batch=batch, defining=defining: _store(store, scope, tx, known, batch, also, defining))  # type: ignore[misc]
        except Stale:
            store.parameters.refresh(store.db)
            continue
        if defining:
            store.parameters.refresh(store.db)
        return batch.result
    raise Conflict("This resource is being changed by others again and again; try again.")


def commit_once(store: Store, scope: Scope, known: int, batch: Batch) -> None:
    """Store what was prepared under a version of the search parameters and defines none.

    Raises:
        Stale: Something that it was prepared on has changed; nothing is stored.
    """
    store.db.write(lambda tx: _store(store, scope, tx, known, batch, None, ()))


def _defining(store: Store, scope: Scope, batch: Batch) -> list[Change]:
    """Find the changes that define search parameters: they need a right of their own."""
    found = [change for change in batch.changes if change.type == TYPE]
    if found:
        require(store, acting(scope, "reindex"), TYPE)
    return found


def _store(store: Store, scope: Scope, tx: Tx, known: int, batch: Batch, also: Also | None, defining: Sequence[Change]) -> None:
    """Store a batch if the search parameters are those that it was prepared under."""
    if defining:
        close_fence(tx)
    if fence(tx) != known:
        raise Stale
    apply(store, scope, tx, batch, also)
    for change in defining:
        define(tx, change.id, change.defines, clock.now_us())
