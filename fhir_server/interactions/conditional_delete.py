"""FHIR conditional delete: of the one resource that matches, or of all that match where the operator allows several.

One by default: a condition that was mistyped would otherwise empty a chart, and R4 leaves the choice to the server.
Spec: https://hl7.org/fhir/R4/http.html#3.1.0.7.1
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, PreconditionFailed
from fhir_server import rows
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.interactions.delete import removal
from fhir_server.matching import criteria, to_delete, verify_to_delete
from fhir_server.preconditions import IfMatch, require_version
from fhir_server.preparing import deletion
from fhir_server.search.tree import Query
from fhir_server.store import Also, Store, Stored, Written, acting, require
from fhir_server.writing import Batch, Change


def conditional_delete(
    store: Store, scope: Scope, type_: str, query: str, *, if_match: IfMatch = None, also: Also | None = None
) -> Written:
    """Delete what matches, in one transaction; where nothing does there is nothing to do, and the version of the answer is 0."""
    scope = acting(scope, "delete")
    with refusals_audited(store, scope, type_, query):
        require(store, scope, type_)
        condition = criteria(store, scope, type_, query)
        written: Written = commit(store, scope, partial(_prepare, store, scope, condition, if_match), also)
        return written


def _prepare(store: Store, scope: Scope, condition: Query, if_match: IfMatch) -> Batch:
    with store.db.read(snapshot=True) as session:
        rids = to_delete(session, store, scope, condition)
        changes, written = conditional_removal(store, scope, session, condition.type, rids, if_match)
    verify = partial(verify_to_delete, store=store, scope=scope, query=condition, found=rids)
    return Batch(changes, written, verify=verify, targets=() if changes else [f"{condition.type}/{written.stored.id}".rstrip("/")])


def conditional_removal(
    store: Store, scope: Scope, session: Session, type_: str, rids: Sequence[int], if_match: IfMatch
) -> tuple[list[Change], Written]:
    """Prepare the deletion of what matches. Of several, those stay that this writer may not delete.

    Raises:
        Forbidden: All of the matches would stay.
        PreconditionFailed: If-Match names versions of another one, or there are several.
    """
    if not rids:
        require_version(if_match, 0, living=False)
        return [], Written(_gone(type_), created=False, changed=False, taken=0)
    found = rows.by_rids(session, rids)
    if len(rids) == 1:
        change, written = removal(store, scope, rows.one_by_one(session), type_, found[rids[0]].id, if_match)
        return [change] if change else [], written
    if if_match is not None:
        raise PreconditionFailed("If-Match speaks of one resource, and the condition matches more.", code="multiple-matches")
    ours = [row for row in found.values() if store.access.decides(scope, row.attributes())]
    if not ours:
        raise Forbidden
    changes = [deletion(store, row)[0] for row in ours]
    return changes, Written(_gone(type_), created=False, changed=True, taken=len(ours), left=len(found) - len(ours))


def _gone(type_: str) -> Stored:
    """What stands for no resource, or for several."""
    return Stored(type_, "", 0, 0, b"", redacted=False, deleted=True)
