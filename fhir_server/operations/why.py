"""Why a reader sees a resource: the policies that let them, and the elements that each of these shows.

It belongs to a read, which was audited, and says nothing of a resource that the reader does not see.
"""

from __future__ import annotations

from chartloop.kernel.access.engine import View
from chartloop.kernel.access.scope import Scope
from fhir_server.rows import current
from fhir_server.store import Store, acting
from fhir_server.type_ids import TYPE_IDS


def why(store: Store, scope: Scope, type_: str, id_: str) -> tuple[View, ...]:
    """Return the views; none of what is not there for this reader, or deleted."""
    scope = acting(scope, "read")
    if type_ not in TYPE_IDS:
        return ()
    row = current(store.db, type_, id_, store.access.row_filter(scope, type_))
    return () if row is None or row.deleted else store.access.views(scope, row.attributes())
