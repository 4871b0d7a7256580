"""FHIR delete interaction: the last version says so, the history stays.

Spec: https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

from functools import partial

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, NotFound
from fhir_server.absent import decide_on_nothing
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.preconditions import IfMatch, require_version
from fhir_server.preparing import deletion
from fhir_server.rows import Current, one_by_one
from fhir_server.store import Also, Store, Stored, Written, acting, require
from fhir_server.writing import Batch, Change


def delete(
    store: Store, scope: Scope, type_: str, id_: str, *, if_match: IfMatch = None, also: Also | None = None
) -> Written:
    """Delete a resource; one that is deleted already stays as it is."""
    scope = acting(scope, "delete")
    with refusals_audited(store, scope, f"{type_}/{id_}"):
        require(store, scope, type_)
        written: Written = commit(store, scope, partial(_prepare, store, scope, type_, id_, if_match), also)
        return written


def _prepare(store: Store, scope: Scope, type_: str, id_: str, if_match: IfMatch) -> Batch:
    with store.db.read() as session:
        change, written = removal(store, scope, one_by_one(session), type_, id_, if_match)
    return Batch([change], written) if change else Batch([], written, targets=[f"{type_}/{id_}"])


def removal(
    store: Store, scope: Scope, current: Current, type_: str, id_: str, if_match: IfMatch = None
) -> tuple[Change | None, Written]:
    """Decide on the row and prepare its deletion; none if it is deleted already."""
    old = current(type_, id_)
    if old is None:
        decide_on_nothing(store, type_, scope, acting(scope, "read"))
        raise NotFound
    if not store.access.decides(scope, old.attributes()):
        raise Forbidden if store.access.decides(acting(scope, "read"), old.attributes()) else NotFound
    require_version(if_match, old.version, living=not old.deleted)
    if old.deleted:
        gone = Stored(type_, id_, old.version, old.updated, b"", redacted=False, deleted=True)
        return None, Written(gone, created=False, changed=False)
    change, stored = deletion(store, old)
    return change, Written(stored, created=False, changed=True)
