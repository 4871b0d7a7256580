"""FHIR conditional delete: of the one resource that matches.

Spec: https://hl7.org/fhir/R4/http.html#3.1.0.7.1
"""

from __future__ import annotations

from functools import partial

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from fhir_server import rows
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.interactions.delete import removal
from fhir_server.matching import criteria, single, verify_match
from fhir_server.preconditions import IfMatch, require_version
from fhir_server.search.tree import Query
from fhir_server.store import Also, Store, Stored, Written, acting, require
from fhir_server.writing import Batch, Change


def conditional_delete(
    store: Store, scope: Scope, type_: str, query: str, *, if_match: IfMatch = None, also: Also | None = None
) -> Written:
    """Delete the one match; where nothing matches there is nothing to do, and the version of the answer is 0."""
    scope = acting(scope, "delete")
    with refusals_audited(store, scope, type_, query):
        require(store, scope, type_)
        condition = criteria(store, scope, type_, query)
        written: Written = commit(store, scope, partial(_prepare, store, scope, condition, if_match), also)
        return written


def _prepare(store: Store, scope: Scope, condition: Query, if_match: IfMatch) -> Batch:
    with store.db.read(snapshot=True) as session:
        rid = single(session, store, scope, condition)
        id_ = "" if rid is None else rows.by_rids(session, [rid])[rid].id
        change, written = conditional_removal(store, scope, session, condition.type, id_, if_match)
    verify = partial(verify_match, store=store, scope=scope, query=condition, found=rid)
    return Batch([change] if change else [], written, verify=verify, targets=[] if change else [f"{condition.type}/{id_}".rstrip("/")])


def conditional_removal(
    store: Store, scope: Scope, session: Session, type_: str, id_: str, if_match: IfMatch
) -> tuple[Change | None, Written]:
    """Prepare the deletion of the match; id "": nothing matches."""
    if id_:
        return removal(store, scope, session, type_, id_, if_match)
    require_version(if_match, 0, living=False)
    return None, Written(Stored(type_, "", 0, 0, b"", redacted=False, deleted=True), created=False, changed=False)
